"""The file of a flat index: it is written, and its rows are read, without FAISS, whose import takes longer
than to scan or to write a hundred thousand rows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import FormatError
from embedkit.indexing.faiss_files import map_index
from embedkit.indexing.kind import Floats, Rows

_HEADER = struct.Struct("<4siqqq?iQ")  # kind, dimension, rows, two unused, is trained, metric, values
_KIND, _INNER_PRODUCT = b"IxFI", 0
_UNUSED = 1 << 20  # what FAISS writes into the unused places


def empty_file(dimension: int) -> bytes:
    """Return the file of FAISS's IndexFlatIP without rows."""
    return _HEADER.pack(_KIND, dimension, 0, _UNUSED, _UNUSED, True, _INNER_PRODUCT, 0)


@dataclass(frozen=True)
class FlatFile:
    """A file of FAISS's IndexFlatIP, whose header was checked: `rows` vectors of `dimension`."""

    path: Path
    rows: int
    dimension: int

    @classmethod
    def open(cls, path: Path, rows: int) -> FlatFile:
        """Read the header; raises FormatError when the file is damaged or does not hold `rows` rows."""
        with open(path, "rb") as file:
            head, size = file.read(_HEADER.size), path.stat().st_size
        if len(head) < _HEADER.size:
            raise FormatError("is truncated, or not a FAISS index", where=str(path))
        kind, dimension, found, _, _, _, metric, values = _HEADER.unpack(head)
        if (kind, metric) != (_KIND, _INNER_PRODUCT) or dimension < 1 or values != found * dimension:
            raise FormatError("is damaged, or not a flat FAISS index", where=str(path))
        if found != rows:
            raise FormatError(f"holds {found} vectors, the manifest states {rows}", where=str(path))
        if size != _HEADER.size + 4 * values:
            what = f"is truncated, or not a FAISS index: {size} bytes for {values} values"
            raise FormatError(what, where=str(path))
        return cls(path, rows, dimension)

    @cached_property
    def index(self) -> Any:
        """The FAISS index, mapped into memory."""
        return map_index(self.path, self.rows)

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        """The mapped rows as bytes, `(rows, 4 * dimension)`: the floats in the file are not aligned."""
        if not self.rows:
            return np.empty((0, 4 * self.dimension), np.uint8)
        shape = (self.rows, 4 * self.dimension)
        return np.asarray(np.memmap(self.path, np.uint8, "r", _HEADER.size, shape))

    def take(self, rows: Rows) -> Floats:
        """Return a copy of some rows, `(len(rows), dimension)`."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return self._bytes[rows[0] : rows[-1] + 1].copy().view("<f4")
        return self._bytes[rows].view("<f4")
