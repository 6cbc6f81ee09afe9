"""The factory kind: any index that a FAISS factory string describes, for users who know these strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embedkit.data.isolated_call import DiedError, apart
from embedkit.errors import FormatError, UsageError
from embedkit.indexing.faiss_files import map_index, save_index, search_parameters
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.rescoring import read_rows, write_rows
from embedkit.indexing.sampling import SAMPLE_ROWS, SPOOL, draw

FILE = "factory.faiss"
_HINT = "read FAISS's page on its index factory"
_BLOCK_ROWS = 16384
_ASKED = 64  # rows with which a new index is tested before it is accepted


@dataclass(frozen=True)
class Factory(IndexKind):
    """Settings of `factory`: FAISS's own description, commas included, which ends the spec, as in
    `factory:IVF256,SQ8`; the index is trained on a random sample of 65,536 rows.

    Douze et al. 2024, "The Faiss library", section 2. It must support inner products and reconstruct rows.
    """

    description: str
    verbatim: ClassVar[str] = "description"  # the field that takes the spec's text unparsed

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS index of all rows `(rows, dimension)`; it is held in memory while it is filled.

        FAISS runs in a process of its own here: some descriptions crash it, and those are refused.
        """
        self._apart(_require_known, layout.dimension)  # before anything is read
        for _ in write_rows(folder / SPOOL, blocks, "float32"):
            pass
        self._apart(_build, str(folder))
        (folder / SPOOL).unlink()

    def open(self, folder: Path, rows: int) -> Any:
        """Open the FAISS index, memory-mapped if FAISS can map it."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, `(queries, k)`.

        A query is compared with all allowed rows if it has fewer than `k` hits, or if FAISS cannot filter
        rows.
        """
        try:
            scores, rows = opened.search(queries, k, params=search_parameters(opened, allowed))
        except RuntimeError:  # this FAISS class cannot filter rows
            return _exhaustive(opened, queries, k, allowed)
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = _exhaustive(opened, queries[short], k, allowed)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`, decoded if they are codes."""
        return _given_back(opened, rows)

    @property
    def _name(self) -> str:
        return f"factory:{self.description}"

    def _apart(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run one step of the build in a process of its own; raises UsageError when FAISS fails."""
        try:
            apart(work, self.description, *arguments)
        except RuntimeError as error:
            raise UsageError(f"FAISS refuses it: {_said(error)}", where=self._name, hint=_HINT) from None
        except DiedError as error:
            what, hint = f"FAISS crashes with it ({error})", "name another index"
            raise UsageError(what, where=self._name, hint=hint) from None
        except MemoryError:
            raise UsageError("FAISS needs more memory than this machine has", where=self._name) from None

    def _trained(self, sample: Floats) -> Any:
        """Return the index trained on rows `(rows, dimension)`; they are repeated if FAISS requires more."""
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
        """Raise UsageError if a map in front of the index keeps no dimension, or moves the origin, which
        changes inner products.
        """
        import faiss

        chain: Any = index.chain if isinstance(index, faiss.IndexPreTransform) else None
        for place in range(chain.size() if chain is not None else 0):
            step: Any = faiss.downcast_VectorTransform(chain.at(place))
            if step.d_out < 1:
                raise UsageError("its map keeps no dimension", where=self._name, hint=_HINT)
            if getattr(step, "have_bias", False) and faiss.vector_to_array(step.b).any():
                hint = "rotate with RR or OPQ, or fit a map with embedkit reduce"
                what = "its map subtracts a mean, which changes inner products"
                raise UsageError(what, where=self._name, hint=hint)

    def _empty(self, dimension: int) -> Any:
        import faiss

        index = faiss.index_factory(dimension, self.description, faiss.METRIC_INNER_PRODUCT)
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            what = "computes only distances, and scores must be similarities"
            raise UsageError(what, where=self._name, hint="name another index")
        return index


def _require_known(description: str, dimension: int) -> None:
    """Raise RuntimeError if FAISS rejects the description, UsageError if the index scores by distance."""
    Factory(description)._empty(dimension)


def _build(description: str, place: str) -> None:
    """Write the index of the rows spooled in a folder, reopen it, and try every operation of a search.

    Raises RuntimeError when FAISS cannot do one of them.
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
        raise RuntimeError(f"the index that it wrote {error.what}") from None
    asked = kind.vectors(opened, np.arange(min(rows, _ASKED)), sample.shape[1])
    for allowed in (None, np.arange(rows) % 2 == 0):
        k = min(rows if allowed is None else int(allowed.sum()), _ASKED)
        scores, found = kind.search(opened, asked, k, allowed)
        if not np.isfinite(scores).all() or found.min() < 0 or found.max() >= rows:
            raise RuntimeError("its own search finds rows that do not exist")


def _given_back(index: Any, rows: Rows) -> Floats:
    """Return stored rows, `(len(rows), dimension)`; raises RuntimeError if the index cannot return them."""
    import faiss

    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        lists.make_direct_map()
    return np.asarray(index.reconstruct_batch(rows), dtype=np.float32)


def _exhaustive(index: Any, queries: Floats, k: int, allowed: Mask | None) -> tuple[Floats, Rows]:
    """Return the best `k` of the allowed rows by inner product with stored rows, block by block."""
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
    """Return FAISS's message without the position in its source code."""
    return re.split(r"\.(?:cpp|h):\d+: ", str(error))[-1].removeprefix("Error: ")
