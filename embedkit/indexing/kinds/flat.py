"""The flat kind: every query is compared with every vector; exact, untrained, built in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.indexing.faiss_files import map_index, selecting, write_index
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.planning.costs import CALL, WRITTEN, Cost, Term, blocks_in_memory
from embedkit.indexing.planning.machine import Machine

if TYPE_CHECKING:
    from typing import Self

FILE = "vectors.faiss"


@dataclass(frozen=True)
class Flat(IndexKind):
    """Settings of `flat`, which has none."""

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS IndexFlatIP of all rows `(rows, dimension)`, holding one block at a time."""
        import faiss

        rows = (np.asarray(block, dtype="<f4") for block in blocks)
        write_index(folder / FILE, faiss.IndexFlatIP(layout.dimension), rows)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        scores, rows = opened.search(queries, k, params=selecting(allowed))
        return scores, rows

    @property
    def keeps_vectors(self) -> bool:
        """Return True."""
        return True

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return np.asarray(opened.reconstruct_batch(rows), dtype=np.float32)

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
