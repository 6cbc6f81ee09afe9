"""Approximate indexes in memory: embedkit's fastscan against FAISS HNSW, hnswlib, usearch and SVS.

    pip install hnswlib usearch scalable-vs toml
    python benchmarks/index_peers.py
    python benchmarks/index_peers.py --vectors wiki.vec

Every side builds an index of 99,000 sentences of Wikipedia by all-MiniLM-L6-v2, with two threads, and
searches for 1,000 other sentences with the first setting that finds .95 of their nearest 10. embedkit's side
includes the files of its vectors. Claims: embedkit builds 2.5 times as fast as FAISS HNSW with construction
40, answers twice as many queries at once as the best peer, and 1.1 times as many one by one. Prints one JSON
line per side; a peer that is not installed is skipped, visibly.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from index import UNSEEN, sentences
from measure import emit

from embedkit.indexing.kind import Layout
from embedkit.indexing.kinds.fastscan import FastScan

K, RECALL, THREADS = 10, 0.95, 2
ALONE = 500  # queries that are asked one by one
ROUNDS = 5  # of which the median counts; sides take turns
WIDTHS = (
    10,
    12,
    16,
    20,
    24,
    28,
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    128,
    192,
    256,
)  # of searches, in ascending order
GOALS = {"build": 2.5, "batch": 2.0, "alone": 1.1}

OURS, GRAPH = "embedkit fastscan", "FAISS HNSW32"

Search = Callable[[Any], Any]  # queries (n, dim) -> rows (n, K)


class Side(NamedTuple):
    """A built index: its seconds, and its search with a width."""

    name: str
    seconds: float
    search: Callable[[int], Search]


def main() -> None:
    """Build all sides, choose their settings, and time them in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, help="the corpus as a vector set that is there already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        X = sentences(Path(name), options.vectors)
        asks = np.arange(len(X)) % UNSEEN == UNSEEN // 2
        queries, rows = np.ascontiguousarray(X[asks]), np.ascontiguousarray(X[~asks])
        truth = exact(rows, queries)
        chosen = [choice for side in built(rows, Path(name)) if (choice := settled(side, queries, truth))]
        speeds = timed([search for _, _, _, search in chosen], queries)
    rates = {side.name: speed for (side, *_), speed in zip(chosen, speeds, strict=True)}
    for side, width, recall, _ in chosen:
        batch, alone = rates[side.name]
        emit(
            side=side.name, build_seconds=round(side.seconds, 2), width=width, recall=round(recall, 4),
            queries_per_second=round(batch), one_by_one=round(alone),
        )  # fmt: skip
    seconds = {side.name: side.seconds for side, *_ in chosen}
    peers = [name for name in rates if name != OURS]
    report("build", GRAPH, seconds[GRAPH] / seconds[OURS])
    for place, what in enumerate(("batch", "alone")):
        best = max(peers, key=lambda name: rates[name][place])
        report(what, best, rates[OURS][place] / rates[best][place])


def report(what: str, peer: str, ratio: float) -> None:
    """Print the ratio to a peer, and its goal."""
    emit(what=what, peer=peer, ratio=round(ratio, 2), goal=GOALS[what], met=ratio >= GOALS[what])


def exact(rows: Any, queries: Any) -> Any:
    """Return the nearest rows of each query, `(queries, K)`."""
    import faiss

    return faiss.knn(queries, rows, K, metric=faiss.METRIC_INNER_PRODUCT)[1]


def built(rows: Any, folder: Path) -> Iterator[Side]:
    """Yield every side, built by itself."""
    for name, build in (
        (OURS, lambda: fastscan(rows, folder)),
        (GRAPH, lambda: faiss_graph(rows)),
        ("hnswlib", lambda: hnswlib_graph(rows)),
        ("usearch bf16", lambda: usearch_graph(rows)),
        ("SVS Vamana", lambda: svs_graph(rows)),
    ):
        started = time.perf_counter()
        try:
            search = build()
        except ImportError as error:
            emit(side=name, skipped=f"{error.name} is not installed")
            continue
        yield Side(name, time.perf_counter() - started, search)


def fastscan(rows: Any, folder: Path) -> Callable[[int], Search]:
    """Build the files of a segment, vectors included, and open them."""
    kind = FastScan()
    blocks = np.array_split(rows, max(1, len(rows) // 16384))
    kind.build(iter(blocks), Layout(rows.shape[1], "cosine", rows=len(rows)), folder)
    opened = kind.open(folder, len(rows))
    return lambda width: lambda queries: FastScan(probes=width).search(opened, queries, K)[1]


def faiss_graph(rows: Any) -> Callable[[int], Search]:
    """Build FAISS's graph."""
    import faiss

    index = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 40
    index.add(rows)

    def search(width: int) -> Search:
        parameters = faiss.SearchParametersHNSW(efSearch=width)
        return lambda queries: index.search(queries, K, params=parameters)[1]

    return search


def hnswlib_graph(rows: Any) -> Callable[[int], Search]:
    """Build hnswlib's graph."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=100, M=16, random_seed=0)
    index.set_num_threads(THREADS)
    index.add_items(rows)

    def search(width: int) -> Search:
        def find(queries: Any) -> Any:
            index.set_ef(width)
            return index.knn_query(queries, k=K, num_threads=min(THREADS, len(queries)))[0]

        return find

    return search


def usearch_graph(rows: Any) -> Callable[[int], Search]:
    """Build usearch's graph over halves."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="bf16", connectivity=16, expansion_add=64)
    index.add(np.arange(len(rows)), rows, threads=THREADS)

    def search(width: int) -> Search:
        def find(queries: Any) -> Any:
            index.expansion_search = width
            keys = index.search(queries, K, threads=min(THREADS, len(queries))).keys
            return np.asarray(keys).reshape(len(queries), -1)

        return find

    return search


def svs_graph(rows: Any) -> Callable[[int], Search]:
    """Build SVS's graph."""
    import svs

    parameters = svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=64, window_size=128)
    index = svs.Vamana.build(parameters, rows, svs.DistanceType.MIP, num_threads=THREADS)

    def search(width: int) -> Search:
        def find(queries: Any) -> Any:
            index.search_window_size = width
            return index.search(queries, K)[0]

        return find

    return search


def settled(side: Side, queries: Any, truth: Any) -> tuple[Side, int, float, Search] | None:
    """Return a side with the first width that reaches the recall; None if none does."""
    for width in WIDTHS:
        search = side.search(width)
        recall = share(search(queries), truth)
        if recall >= RECALL:
            return side, width, recall, search
    emit(side=side.name, skipped=f"reaches a recall of {recall:.3f} at {width}")
    return None


def share(found: Any, truth: Any) -> float:
    """Return the share of the true rows that were found."""
    pairs = zip(np.asarray(found), truth, strict=True)
    return float(np.mean([len(set(mine.tolist()) & set(right.tolist())) / K for mine, right in pairs]))


def timed(searches: Iterable[Search], queries: Any) -> list[tuple[float, float]]:
    """Return the queries per second of each search, all at once and one by one; the sides take turns."""
    rounds = [[(rate(search, [queries]), rate(search, list(queries[:ALONE, None]))) for search in searches]
              for _ in range(ROUNDS)]  # fmt: skip
    return [tuple(np.median(np.array(each), axis=0).tolist()) for each in zip(*rounds, strict=True)]


def rate(search: Search, batches: list[Any]) -> float:
    """Return the queries per second of some batches."""
    started = time.perf_counter()
    for batch in batches:
        search(batch)
    return sum(map(len, batches)) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
