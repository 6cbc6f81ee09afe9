"""Tombstones: which rows of a segment are deleted, a bit a row, in a file that is never changed either."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embedkit.data.atomic import write_whole
from embedkit.errors import FormatError
from embedkit.indexing.files import StoredFile, stored
from embedkit.indexing.kind import Mask

PREFIX = "deleted-"


def write_tombstones(folder: Path, deleted: Mask, generation: int) -> StoredFile:
    """Write which rows of the segment in `folder` are deleted, `(rows,)`, beside those of generations before:
    bit 1 where a row is, the first row lowest.
    """
    path = folder / f"{PREFIX}{generation:05d}.bits"
    write_whole(path, np.packbits(deleted, bitorder="little").tobytes())
    return stored(path)


def read_tombstones(folder: Path, file: StoredFile, rows: int, deleted: int) -> Mask:
    """Return which rows are deleted, `(rows,)`; raises FormatError unless there are `deleted` of them."""
    file.require_whole(folder)
    bits = np.frombuffer((folder / file.name).read_bytes(), dtype=np.uint8)
    where, count = str(folder / file.name), int(np.unpackbits(bits).sum())
    if len(bits) != -(-rows // 8) or count != deleted:
        found = f"marks {count} rows in {len(bits)} bytes"
        raise FormatError(f"{found}, the manifest says {deleted} of {rows} rows", where=where)
    return np.unpackbits(bits, count=rows, bitorder="little").astype(bool)
