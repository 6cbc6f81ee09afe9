"""The factory kind: any index that a FAISS factory string names, for those who know them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embedkit.data.apart import DiedError, apart
from embedkit.errors import FormatError, UsageError
from embedkit.indexing.faiss_files import map_index, save_index, search_parameters
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.rescoring import read_rows, write_rows
from embedkit.indexing.sampling import SAMPLE_ROWS, SPOOL, draw

FILE = "factory.faiss"
_HINT = "see FAISS's page on its index factory"
_BLOCK_ROWS = 16384
_ASKED = 64  # rows that a new index is asked for, before it is believed


@dataclass(frozen=True)
class Factory(IndexKind):
    """Settings of `factory`: FAISS's own description, with its commas, and nothing behind it, as in
    `factory:IVF256,SQ8`; trained on a random sample of 65,536 rows.

    Douze et al. 2024, "The Faiss library", section 2. It must know inner products and give rows back.
    """

    description: str
    verbatim: ClassVar[str] = "description"  # the field that a spec's text is, whatever it holds

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS index of all rows `(rows, dimension)`; it is in memory while it is filled.

        FAISS is in a process of its own meanwhile: some descriptions crash it, and those are refused.
        """
        self._apart(_require_known, layout.dimension)  # before anything is read
        for _ in write_rows(folder / SPOOL, blocks, "float32"):
            pass
        self._apart(_build, str(folder))
        (folder / SPOOL).unlink()

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

    def _apart(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do a part of the building in a process of its own; raises UsageError when FAISS cannot do it."""
        try:
            apart(work, self.description, *arguments)
        except RuntimeError as error:
            raise UsageError(f"FAISS says: {_said(error)}", where=self._name, hint=_HINT) from None
        except DiedError as error:
            what, hint = f"FAISS crashes with it ({error})", "name another one"
            raise UsageError(what, where=self._name, hint=hint) from None
        except MemoryError:
            raise UsageError("FAISS asks for more memory than there is", where=self._name) from None

    def _trained(self, sample: Floats) -> Any:
        """Return the index trained on rows `(rows, dimension)`; where FAISS wants more than there are, they
        are repeated.
        """
        while True:
            index = self._empty(sample.shape[1])
            try:
                index.train(sample)
                return index
            except RuntimeError:
                if len(sample) >= SAMPLE_ROWS:
                    raise
            sample = np.resize(sample, (min(2 * len(sample), SAMPLE_ROWS), sample.shape[1]))

    def _require_origin(self, index: Any) -> None:
        """Raise UsageError for a map in front that keeps nothing, or that moves the origin: inner products
        behind it are others.
        """
        import faiss

        chain: Any = index.chain if isinstance(index, faiss.IndexPreTransform) else None
        for place in range(chain.size() if chain is not None else 0):
            step: Any = faiss.downcast_VectorTransform(chain.at(place))
            if step.d_out < 1:
                raise UsageError("its map keeps no column", where=self._name, hint=_HINT)
            if getattr(step, "have_bias", False) and faiss.vector_to_array(step.b).any():
                hint = "rotate with RR or OPQ, or fit a map with embedkit reduce"
                what = "its map subtracts a mean, after which inner products are others"
                raise UsageError(what, where=self._name, hint=hint)

    def _empty(self, dimension: int) -> Any:
        import faiss

        index = faiss.index_factory(dimension, self.description, faiss.METRIC_INNER_PRODUCT)
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            what = "knows distances only, scores here are similarities"
            raise UsageError(what, where=self._name, hint="name another one")
        return index


def _require_known(description: str, dimension: int) -> None:
    """Raise RuntimeError unless FAISS knows the description, UsageError where its scores are distances."""
    Factory(description)._empty(dimension)


def _build(description: str, place: str) -> None:
    """Write the index of the rows that are spooled in a folder, read it again, and ask it all that a search
    may; raises RuntimeError for what FAISS cannot do.
    """
    kind, folder = Factory(description), Path(place)
    sample, _ = draw(read_rows(folder / SPOOL), 0, SAMPLE_ROWS)
    index = kind._trained(sample)
    kind._require_origin(index)
    for block in read_rows(folder / SPOOL):
        index.add(np.ascontiguousarray(block))
    save_index(folder / FILE, index)
    rows = int(index.ntotal)
    del index
    try:
        opened = kind.open(folder, rows)
    except FormatError as error:
        raise RuntimeError(f"what it has written {error.what}") from None
    asked = kind.vectors(opened, np.arange(min(rows, _ASKED)), sample.shape[1])
    for allowed in (None, np.arange(rows) % 2 == 0):
        k = min(rows if allowed is None else int(allowed.sum()), _ASKED)
        scores, found = kind.search(opened, asked, k, allowed)
        if not np.isfinite(scores).all() or found.min() < 0 or found.max() >= rows:
            raise RuntimeError("its own search finds rows that are not there")


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
