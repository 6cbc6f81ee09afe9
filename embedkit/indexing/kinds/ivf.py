"""The ivf kind: rows in lists around centroids, of which a search reads the nearest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from embedkit.indexing.faiss_files import map_index, save_index, selecting
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space
from embedkit.indexing.sampling import sampled

FILE = "lists.faiss"
ROWS_A_LIST = 39  # of the sample, at least: what k-means of FAISS asks for


@dataclass(frozen=True)
class Ivf:
    """Settings of `ivf`: `lists` by k-means on a random sample (4 sqrt(rows) of them by default, fewer where
    the sample is small), of which a search reads the `probes` nearest, all where those hold too few rows.

    Jegou, Douze and Schmid 2011, section 4. `sq8` takes the ranges of its columns from the sample.
    """

    lists: int | None = None
    probes: int = 16
    storage: Literal["flat", "sq8"] = "flat"
    seed: int = 0
    per_query: ClassVar[frozenset[str]] = frozenset({"probes"})

    def __post_init__(self) -> None:
        for name in ("lists", "probes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the FAISS lists of all rows `(rows, dimension)`; they are in memory while they are filled."""
        sample, rows = sampled(blocks, folder, self.seed)
        index = self._empty(space.dimension, len(sample))
        index.train(sample)
        for block in rows:
            index.add(block)
        save_index(folder / FILE, index)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        scores, rows = self._probed(opened, queries, k, allowed, self.probes)
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = self._probed(opened, queries[short], k, allowed, opened.nlist)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        opened.make_direct_map()
        return np.asarray(opened.reconstruct_batch(rows), dtype=np.float32)

    def _probed(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None, probes: int
    ) -> tuple[Floats, Rows]:
        parameters = selecting(allowed, "SearchParametersIVF", nprobe=min(probes, opened.nlist))
        scores, rows = opened.search(queries, k, params=parameters)
        return scores, rows

    def _empty(self, dimension: int, sample: int) -> Any:
        import faiss

        metric, number = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
        lists = self.lists or round(4 * math.sqrt(sample))
        lists = max(1, min(lists, sample // ROWS_A_LIST))
        centroids = faiss.IndexFlatIP(dimension)
        index: Any
        if self.storage == "flat":
            index = faiss.IndexIVFFlat(centroids, dimension, lists, metric)
        else:
            index = faiss.IndexIVFScalarQuantizer(centroids, dimension, lists, number, metric)
        index.cp.seed = self.seed + 1
        return index
