"""The factory kind: any index that a FAISS factory string names, for those who know them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import map_index, save_index, search_parameters
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space
from embedkit.indexing.sampling import SAMPLE_ROWS, sampled

FILE = "factory.faiss"
_HINT = "see FAISS's page on its index factory"
_BLOCK_ROWS = 16384


@dataclass(frozen=True)
class Factory:
    """Settings of `factory`: FAISS's own description, with its commas, and nothing behind it, as in
    `factory:IVF256,SQ8`; trained on a random sample of 65,536 rows.

    Douze et al. 2024, "The Faiss library", section 2. It must know inner products and give rows back.
    """

    description: str
    verbatim: ClassVar[str] = "description"  # the field that a spec's text is, whatever it holds
    per_query: ClassVar[frozenset[str]] = frozenset()

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the FAISS index of all rows `(rows, dimension)`; it is in memory while it is filled."""
        self._empty(space.dimension)  # refused before anything is read
        sample, rows = sampled(blocks, folder, 0, SAMPLE_ROWS)
        try:
            index = self._trained(sample)
            self._require_origin(index)
            for block in rows:
                index.add(block)
            _given_back(index, np.arange(1))
        except RuntimeError as error:
            raise UsageError(f"FAISS says: {_said(error)}", where=self._name, hint=_HINT) from None
        save_index(folder / FILE, index)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory where FAISS can."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, `(queries, k)`; queries that find fewer than `k` are compared with
        all, and so are those for which FAISS cannot leave rows out.
        """
        try:
            scores, rows = opened.search(queries, k, params=search_parameters(opened, allowed))
        except RuntimeError:  # no selection of rows in this class
            return _exhaustive(opened, queries, k, allowed)
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = _exhaustive(opened, queries[short], k, allowed)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`, decoded where they are codes."""
        return _given_back(opened, rows)

    @property
    def _name(self) -> str:
        return f"factory:{self.description}"

    def _trained(self, sample: Floats) -> Any:
        """Return the index trained on rows `(rows, dimension)`; fewer than it has centroids are repeated."""
        index = self._empty(sample.shape[1])
        try:
            index.train(sample)
        except RuntimeError:
            if len(sample) >= SAMPLE_ROWS:
                raise
            index = self._empty(sample.shape[1])
            index.train(np.resize(sample, (SAMPLE_ROWS, sample.shape[1])))
        return index

    def _require_origin(self, index: Any) -> None:
        """Raise UsageError for a map in front that moves the origin: inner products behind it are others."""
        import faiss

        chain: Any = index.chain if isinstance(index, faiss.IndexPreTransform) else None
        for place in range(chain.size() if chain is not None else 0):
            step: Any = faiss.downcast_VectorTransform(chain.at(place))
            if getattr(step, "have_bias", False) and faiss.vector_to_array(step.b).any():
                hint = "rotate with RR or OPQ, or fit a map with embedkit reduce"
                what = "its map subtracts a mean, after which inner products are others"
                raise UsageError(what, where=self._name, hint=hint)

    def _empty(self, dimension: int) -> Any:
        import faiss

        try:
            index = faiss.index_factory(dimension, self.description, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise UsageError(f"FAISS says: {_said(error)}", where=self._name, hint=_HINT) from None
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            what = "knows distances only, scores here are similarities"
            raise UsageError(what, where=self._name, hint="name another one")
        return index


def _given_back(index: Any, rows: Rows) -> Floats:
    """Return stored rows, `(len(rows), dimension)`; raises RuntimeError for an index that cannot."""
    import faiss

    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        lists.make_direct_map()
    return np.asarray(index.reconstruct_batch(rows), dtype=np.float32)


def _exhaustive(index: Any, queries: Floats, k: int, allowed: Mask | None) -> tuple[Floats, Rows]:
    """Return the best `k` by inner products with stored rows that are allowed, block by block."""
    import faiss

    rows = np.arange(index.ntotal) if allowed is None else np.flatnonzero(allowed)
    heap = faiss.ResultHeap(len(queries), k, keep_max=True)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        stored = _given_back(index, block)
        scores, places = faiss.knn(queries, stored, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(scores, block[places])
    heap.finalize()
    return heap.D, heap.I


def _said(error: RuntimeError) -> str:
    """Return FAISS's own words without the place in its source."""
    return re.split(r"\.(?:cpp|h):\d+: ", str(error))[-1].removeprefix("Error: ")
