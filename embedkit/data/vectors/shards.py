"""Shards: numbered Arrow IPC files of a set, each recorded with its size and its checksum."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from embedkit.data.atomic import whole_file
from embedkit.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_ROWS = 16384
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Shard:
    """One file of a set: name, rows, bytes, checksum, and a digest of the records it was made from."""

    file: str
    rows: int
    bytes: int
    sha256: str
    source: str


def shard_name(place: int) -> str:
    """Return the file name of the shard at a place of a set."""
    return f"part-{place:05d}.arrow"


def write_shard(folder: Path, place: int, table: pa.Table, source: str) -> Shard:
    """Write a table as the shard at a place of a set; `source` is the digest of the records it was made
    from.
    """
    file = shard_name(place)
    size, digest = write_table(folder / file, table)
    return Shard(file, table.num_rows, size, digest, source)


def write_table(path: Path, table: pa.Table) -> tuple[int, str]:
    """Write one Arrow IPC file, whole or not at all; return its size in bytes and its SHA-256."""
    import pyarrow as pa

    with whole_file(path) as file:
        hashing = _HashingFile(file)
        with pa.ipc.new_file(pa.PythonFile(hashing, mode="w"), table.schema) as writer:
            writer.write_table(table.combine_chunks())
    return hashing.size, hashing.digest.hexdigest()


def write_tables(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables, whose columns may differ, as one Arrow IPC stream after the other, whole or not at
    all.
    """
    import pyarrow as pa

    with whole_file(path) as file:
        for table in tables:
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)


def read_tables(path: Path) -> Iterator[pa.Table]:
    """Yield the tables that `write_tables` wrote."""
    import pyarrow as pa

    with pa.OSFile(os.fsencode(path)) as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as stream:
                yield stream.read_all()


def read_table(path: Path) -> pa.Table:
    """Memory-map one Arrow IPC file as a table; raises FormatError when it is cut short or its structure is
    damaged.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(os.fsencode(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            table.validate()  # lengths and sizes only, which costs nothing
            return table
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"is truncated, or not a shard: {error}", where=str(path)) from None


def check_shard(folder: Path, shard: Shard) -> None:
    """Raise FormatError unless a shard's file has the recorded size and checksum."""
    path = folder / shard.file
    size = path.stat().st_size if path.is_file() else None
    if size != shard.bytes:
        found = "is missing" if size is None else f"has {size} bytes, expected {shard.bytes}"
        raise FormatError(found, where=str(path), hint="the folder is damaged")
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != shard.sha256:
        raise FormatError(
            "its checksum differs from the one that was written",
            where=str(path),
            hint="the folder is damaged",
        )


class _HashingFile(io.RawIOBase):
    """A file that passes writes on and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        """Return True: bytes can be written."""
        return True

    def write(self, block: pa.Table) -> int:
        """Write and hash a block; return its size in bytes."""
        view = memoryview(block)
        self.digest.update(view)
        self.size += view.nbytes
        self.file.write(view)
        return view.nbytes
