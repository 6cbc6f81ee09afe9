"""The hnsw kind: a graph of neighbours that a search walks, over vectors kept as floats, halves or bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from embedkit.indexing.faiss_files import fill, map_index, save_index, selecting
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space
from embedkit.indexing.sampling import sampled

FILE = "graph.faiss"
Storage = Literal["flat", "fp16", "sq8"]


@dataclass(frozen=True)
class Hnsw:
    """Settings of `hnsw`: `m` neighbours a node, 2 m at the lowest level; `ef_construction` candidates looked
    at while it is built and `ef_search` while it is searched, `k` at least.

    Malkov and Yashunin 2016, sections 4.1 and 4.2. Built in memory, where the graph takes 8 m bytes a row.
    `sq8` takes the ranges of its columns from a sample.
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
            raise ValueError(f"m={self.m} is not at least 2")

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the FAISS graph of all rows `(rows, dimension)`; it is in memory while it is built."""
        index = self._empty(space.dimension)
        if self.storage == "sq8":
            sample, blocks = sampled(blocks, folder, self.seed)
            index.train(sample)
            del sample
        if space.rows is not None:
            _reserve(index, space.rows)
        fill(index, blocks, space)
        save_index(folder / FILE, index)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`; queries whose walk ends before it has met `k` rows
        that are allowed are compared with all.
        """
        parameters = selecting(allowed, "SearchParametersHNSW", efSearch=max(self.ef_search, k))
        scores, rows = opened.search(queries, k, params=parameters)
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = opened.storage.search(queries[short], k, params=selecting(allowed))
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return np.asarray(opened.storage.reconstruct_batch(rows), dtype=np.float32)

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
    """Take the memory of `rows` rows at once: a vector that grows as rows are added takes twice as much."""
    import faiss

    storage: Any = faiss.downcast_index(index.storage)
    edges = rows * index.hnsw.nb_neighbors(0) + rows * index.hnsw.nb_neighbors(1) // 24
    for vector, size in ((storage.codes, rows * storage.code_size), (index.hnsw.neighbors, edges)):
        vector.resize(size)
        vector.resize(0)
