"""The hnsw kind: a search walks a graph of neighbours, over vectors stored as float32, float16 or bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from embedkit.indexing.faiss_files import fill, map_index, save_index, selecting
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.planning.costs import (
    CALL,
    STORED_BYTES,
    STORED_RECALL,
    Cost,
    K,
    Term,
    blocks_in_memory,
    sample_in_memory,
)
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.sampling import SAMPLE_ROWS, sampled

if TYPE_CHECKING:
    from typing import Self

FILE = "graph.faiss"
Storage = Literal["flat", "fp16", "sq8"]
_CACHED = 3e7  # bytes; in larger graphs each step waits for memory
_WAITING = 1.3  # factor by which such a step takes longer


@dataclass(frozen=True)
class Hnsw(IndexKind):
    """Settings of `hnsw`: `m` neighbours per node, 2 m at the lowest level; building examines
    `ef_construction` candidates, a search `ef_search` (`k` at least).

    Malkov and Yashunin 2016, sections 4.1 and 4.2. The index is built in memory, where the graph takes 8 m
    bytes per row. `sq8` learns the range of each dimension from a sample.
    """

    m: int = 32
    ef_construction: int = 200
    ef_search: int = 64
    storage: Storage = "flat"
    seed: int = 0
    per_query: ClassVar[frozenset[str]] = frozenset({"ef_search"})
    rehearses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("ef_construction", "ef_search"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")
        if self.m < 2:
            raise ValueError(f"m must be at least 2, got {self.m}")

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS graph of all rows `(rows, dimension)`; it is held in memory while it is built."""
        index = self._empty(layout.dimension)
        if self.storage == "sq8":
            sample, blocks = sampled(blocks, folder, self.seed)
            index.train(sample)
            del sample
        if layout.rows is not None:
            _reserve(index, layout.rows)
        fill(index, blocks, layout)
        save_index(folder / FILE, index)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`.

        A query whose walk ends before it has met `k` allowed rows is compared with all allowed rows.
        """
        parameters = selecting(allowed, "SearchParametersHNSW", efSearch=max(self.ef_search, k))
        scores, rows = opened.search(queries, k, params=parameters)
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = opened.storage.search(queries[short], k, params=selecting(allowed))
        if self.keeps_vectors:
            scores = np.where(rows < 0, scores, _similarities(opened.storage, queries, rows))
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    @property
    def keeps_vectors(self) -> bool:
        """Return True unless vectors are stored rounded."""
        return self.storage == "flat"

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return np.asarray(opened.storage.reconstruct_batch(rows), dtype=np.float32)

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the range of `ef_search`; a search raises it to `k` itself."""
        return {"ef_search": (k, 4096)}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield graphs of several densities for each storage."""
        for storage in get_args(Storage):
            for m in (16, 32):
                yield from (cls(m=m, ef_construction=ef, storage=storage) for ef in (40, 100, 200))

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows: distances along walks, each of which waits for memory."""
        vectors = Term(f"rows x {self.storage} vector", rows, STORED_BYTES[self.storage] * dimension)
        edges = self.m * (2 + 1 / (self.m - 1))  # one row in m is on a level above the lowest
        graph = Term("rows x (edges x 4 + 12)", rows, 4 * edges + 12)
        waiting = _WAITING if vectors.bytes + graph.bytes > _CACHED else 1
        step = (0.5 + dimension / 256) / machine.walked * waiting
        walked = max(self.ef_search, K)
        growth = max(0.3, (rows / 1e5) ** 0.1) * math.sqrt(self.m / 32)
        build = rows * (250 + 23.6 * self.ef_construction) * growth * step
        query = (250 + 23.6 * walked) * growth * step * machine.threads + CALL
        sample = (sample_in_memory(rows, SAMPLE_ROWS, dimension),) if self.storage == "sq8" else ()
        recall = hnsw_recall(walked, rows, self.m, self.ef_construction) * STORED_RECALL[self.storage]
        building = (vectors, graph, *sample, *blocks_in_memory(rows, dimension))
        return Cost((vectors, graph), (), building, build, query, recall)

    def _empty(self, dimension: int) -> Any:
        import faiss

        metric, codes = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer
        index: Any
        number: Any
        if self.storage == "flat":
            index = faiss.IndexHNSWFlat(dimension, self.m, metric)
        else:
            number = {"fp16": codes.QT_fp16, "sq8": codes.QT_8bit}[self.storage]
            index = faiss.IndexHNSWSQ(dimension, number, self.m, metric)
            index.is_trained = self.storage == "fp16"
            index.storage.is_trained = index.is_trained
        index.hnsw.efConstruction = self.ef_construction
        return index


def _reserve(index: Any, rows: int) -> None:
    """Allocate memory for `rows` rows at once: a vector that grows while rows are added takes twice
    as much.
    """
    import faiss

    storage: Any = faiss.downcast_index(index.storage)
    edges = rows * index.hnsw.nb_neighbors(0) + rows * index.hnsw.nb_neighbors(1) // 24
    for vector, size in ((storage.codes, rows * storage.code_size), (index.hnsw.neighbors, edges)):
        vector.resize(size)
        vector.resize(0)


def hnsw_recall(ef: float, rows: int, m: int, ef_construction: int) -> float:
    """Return the expected recall of a graph: misses decrease with `ef` and increase with the rows."""
    missed = 0.18 * (ef / 10) ** -0.93 * (rows / 1e5) ** 0.38
    missed *= (40 / ef_construction) ** 0.2 * (32 / m) ** 1.5
    return float(1 - min(1.0, missed))


def _similarities(storage: Any, queries: Floats, rows: Rows) -> Floats:
    """Return the inner products of queries with stored rows, `(queries, k)`.

    A walk computes some products one by one and others four at a time, which rounds them otherwise: equal
    vectors would have unequal scores.
    """
    import faiss

    stored: Any = faiss.downcast_index(storage)
    vectors = faiss.rev_swig_ptr(stored.get_xb(), stored.ntotal * stored.d).reshape(-1, stored.d)
    pairs = zip(rows, queries, strict=True)
    products = [np.einsum("ij,j->i", vectors[found], query) for found, query in pairs]
    return np.array(products, dtype=np.float32).reshape(rows.shape)
