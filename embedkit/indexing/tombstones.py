"""Tombstones: one bit per row of a segment, set if the row is deleted, in a file that never changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embedkit.data.atomic import write_whole
from embedkit.errors import FormatError
from embedkit.indexing.kind import Mask
from embedkit.indexing.stored_files import StoredFile, stored

PREFIX = "deleted-"


def write_tombstones(folder: Path, deleted: Mask, generation: int) -> StoredFile:
    """Write the mask of deleted rows, `(rows,)`, of the segment in `folder`, next to the files of earlier
    generations. Bit 1 marks a deleted row; the first row is the lowest bit.
    """
    path = folder / f"{PREFIX}{generation:05d}.bits"
    write_whole(path, np.packbits(deleted, bitorder="little").tobytes())
    return stored(path)


def read_tombstones(folder: Path, file: StoredFile, rows: int, deleted: int) -> Mask:
    """Return the mask of deleted rows, `(rows,)`; raises FormatError unless `deleted` rows are marked."""
    file.require_whole(folder)
    bits = np.frombuffer((folder / file.name).read_bytes(), dtype=np.uint8)
    where, count = str(folder / file.name), int(np.unpackbits(bits).sum())
    if len(bits) != -(-rows // 8) or count != deleted:
        found = f"marks {count} rows in {len(bits)} bytes"
        raise FormatError(f"{found}, the manifest states {deleted} of {rows} rows", where=where)
    return np.unpackbits(bits, count=rows, bitorder="little").astype(bool)
