"""An index chosen by wishes: embedkit's plan against autofaiss, both told 300 MB of index and 5 ms a query.

    python -m venv peers && peers/bin/pip install autofaiss 'pyarrow<19'
    python benchmarks/autotune.py --vectors wiki.npy --autofaiss-python peers/bin/python

Claims: embedkit takes no longer than autofaiss, and finds the recall it was asked for, of which autofaiss
says nothing. Both are whole processes that read one .npy of 100 000 vectors, its last 1 000 left out: they
are the queries of recall@10 against exact search. autofaiss is told what the index may take, embedkit what
the whole process may, of which libraries take some 400 MB before there is any row. autofaiss pins an older
numpy, so that it lives in an environment of its own; AUTOFAISS_PYTHON names its interpreter too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import data, embedkit, emit, run
from numpy.typing import NDArray

from embedkit.indexing.store import Index

QUERIES, K = 1000, 10
RECALL, MEMORY, PROCESS, LATENCY = 0.95, "300MB", "700MB", 5  # the last in ms
PEER = f"""
import sys
from autofaiss import build_index
build_index(
    sys.argv[1], index_path=sys.argv[2], index_infos_path=sys.argv[2] + ".json", metric_type="ip",
    max_index_memory_usage="{MEMORY}", max_index_query_time_ms={LATENCY}, current_memory_available="4GB",
    verbose=50,
)
"""

Vectors = NDArray[np.float32]


def main() -> None:
    """Read the options, and build with both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, help="a .npy of unit vectors; the last 1 000 are the queries")
    parser.add_argument("--autofaiss-python", default=os.environ.get("AUTOFAISS_PYTHON"))
    options = parser.parse_args()
    if options.autofaiss_python is None:
        emit(skipped="no environment with autofaiss was named")
        return
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.load(options.vectors or encoded(Path(folder)))
        compare(Path(folder), vectors[:-QUERIES], vectors[-QUERIES:], options.autofaiss_python)


def encoded(folder: Path) -> Path:
    """Encode the sentences of the measurement data."""
    made = folder / "wiki.npy"
    run(embedkit("encode", str(data("corpus/wiki-en/sentences_100k.txt")), "-o", str(made), "-q"))
    return made


def compare(folder: Path, rows: Vectors, queries: Vectors, python: str) -> None:
    """Build by either side, and measure what it finds."""
    import faiss

    source, ours, theirs = folder / "rows/rows.npy", folder / "ours.idx", folder / "theirs"
    source.parent.mkdir()
    np.save(source, rows)
    wishes = ("--recall", str(RECALL), "--max-memory", PROCESS, "--latency", f"{LATENCY}ms")
    exact = np.argsort(-(queries @ rows.T), axis=1, kind="stable")[:, :K]
    done = run(embedkit("index", "build", str(source), *wishes, "-o", str(ours), "-q"))
    index = Index.open(ours)
    report("embedkit", rows, done, recall(places(index)[index.search(queries, K)[1]], exact))
    done = run([python, "-c", PEER, str(source.parent), str(theirs)])
    report("autofaiss", rows, done, recall(faiss.read_index(str(theirs)).search(queries, K)[1], exact))


def places(index: Index) -> NDArray[np.int64]:
    """Return which row of the .npy each row of an index is; ids are numbers from 1 on."""
    tables = (table for segment in index.segments for table in segment.documents())
    return np.array([int(id) - 1 for table in tables for id in table["id"].to_pylist()])


def recall(found: Any, exact: NDArray[np.int64]) -> float:
    """Return the share of the nearest rows that were found."""
    shares = [len({*one} & {*other}) / K for one, other in zip(found.tolist(), exact.tolist(), strict=True)]
    return float(np.mean(shares))


def report(side: str, rows: Vectors, done: Any, found: float) -> None:
    """Print one side's JSON line."""
    emit(
        what=f"index of {len(rows)} x {rows.shape[1]} in {MEMORY} and {LATENCY} ms a query",
        side=side,
        seconds=round(done.seconds, 2),
        peak_mb=round(done.peak_mb, 1),
        recall=round(found, 4),
        goal={"recall": RECALL, "ratio": 1.0} if side == "embedkit" else None,
    )


if __name__ == "__main__":
    main()
