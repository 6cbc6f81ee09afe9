"""The flat kind: every query is compared with every vector; exact, untrained, built in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.embedding.encoder import thread_count
from embedkit.indexing.faiss_files import selecting, selecting_part, write_rows
from embedkit.indexing.flat_file import FlatFile, empty_file
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.nearest import FEW, merged
from embedkit.indexing.planning.costs import CALL, WRITTEN, Cost, Term, blocks_in_memory

if TYPE_CHECKING:
    from typing import Self

    from embedkit.indexing.planning.machine import Machine

FILE = "vectors.faiss"
_LEAST = 1 << 20  # numbers that a thread compares with a query; fewer take less time than the thread's start


@dataclass(frozen=True)
class Flat(IndexKind):
    """Settings of `flat`, which has none."""

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS IndexFlatIP of all rows `(rows, dimension)`, holding one block at a time."""
        rows = (np.asarray(block, dtype="<f4") for block in blocks)
        write_rows(folder / FILE, empty_file(layout.dimension), rows)

    def open(self, folder: Path, rows: int) -> FlatFile:
        """Check the file; `warm` or the first search maps the FAISS index."""
        return FlatFile.open(folder / FILE, rows)

    def warm(self, opened: FlatFile) -> None:
        """Map the FAISS index into memory."""
        opened.index  # noqa: B018

    def search(
        self, opened: FlatFile, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`.

        FAISS gives each query to one thread, so the rows are divided among threads that would be idle. The
        scores are the same bits.
        """
        index, parts = opened.index, _parts(opened.rows, opened.dimension, len(queries))
        if len(parts) == 1:
            scores, rows = index.search(queries, k, params=selecting(allowed))
            return scores, rows
        part = partial(_search_part, index, queries, k, allowed)
        found = list(_threads().map(part, parts))
        return merged(found, np.zeros(len(found), np.int64), k, len(queries))

    @property
    def keeps_vectors(self) -> bool:
        """Return True."""
        return True

    def vectors(self, opened: FlatFile, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return opened.take(rows)

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield the kind, which has no settings."""
        yield cls()

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows: every search reads all of them."""
        vectors = Term("rows x dimensions x 4", rows, 4 * dimension)
        seconds = rows * 4 * dimension / machine.scanned + CALL
        building = blocks_in_memory(rows, dimension)
        return Cost((vectors,), (), building, vectors.bytes / WRITTEN, seconds, 1.0)


def _parts(rows: int, dimension: int, queries: int) -> list[range]:
    """Return the rows that each thread searches, so that few queries use all threads."""
    count = 1 if queries >= FEW else min(thread_count() // max(1, queries), rows * dimension // _LEAST)
    ends = [rows * place // max(1, count) for place in range(max(1, count) + 1)]
    return [range(start, end) for start, end in pairwise(ends)]


def _search_part(
    index: Any, queries: Floats, k: int, allowed: Mask | None, part: range
) -> tuple[Floats, Rows]:
    scores, rows = index.search(queries, min(k, len(part)), params=selecting_part(allowed, part))
    return scores, rows


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count(), thread_name_prefix="flat")
