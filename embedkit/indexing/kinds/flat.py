"""The flat kind: every vector compared with every query; exact, no training, and built in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embedkit.indexing.faiss_files import map_index, selecting, write_index
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space

FILE = "vectors.faiss"


@dataclass(frozen=True)
class Flat:
    """Settings of `flat`: none."""

    per_query: ClassVar[frozenset[str]] = frozenset()

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the FAISS IndexFlatIP of all rows `(rows, dimension)`, holding one block at a time."""
        import faiss

        rows = (np.asarray(block, dtype="<f4") for block in blocks)
        write_index(folder / FILE, faiss.IndexFlatIP(space.dimension), rows)

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        scores, rows = opened.search(queries, k, params=selecting(allowed))
        return scores, rows

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return np.asarray(opened.reconstruct_batch(rows), dtype=np.float32)
