"""Shards: rows on disk as numbered Arrow IPC files, each whole or not at all, with a journal to resume from
after a kill.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any

import orjson

from embedkit.data.atomic import whole_file
from embedkit.data.vectors import tables
from embedkit.errors import DataError, FormatError

SHARD_ROWS = 16384
JOURNAL = "journal.jsonl"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Shard:
    """One file of a set: name, rows, bytes, checksum, and a digest of the records it was made from."""

    file: str
    rows: int
    bytes: int
    sha256: str
    source: str


class ShardWriter:
    """A writer of rows in shards of `shard_rows`; sealed shards survive a kill, and a later writer resumes
    after them.

    The journal's first line is `header`, the settings that must be equal to resume; one line per sealed shard
    follows. With `resume`, raises FormatError when the work in the folder was begun with another header.
    """

    def __init__(
        self, folder: Path, header: dict[str, Any], *, shard_rows: int = SHARD_ROWS, resume: bool = False
    ) -> None:
        self.folder, self.shard_rows = folder, shard_rows
        self.sealed: list[Shard] = []
        self._tables: list[Any] = []
        self._rows = 0
        self._source = hashlib.sha256()
        folder.mkdir(exist_ok=True)
        if resume and (folder / JOURNAL).exists():
            self.sealed = list(_sealed_whole(folder, header))
        for file in folder.iterdir():  # incomplete files that a kill left
            if file.name not in {JOURNAL, *(shard.file for shard in self.sealed)}:
                file.unlink()
        with whole_file(folder / JOURNAL) as journal:
            for line in (header, *map(asdict, self.sealed)):
                journal.write(orjson.dumps(line) + b"\n")

    @property
    def sealed_rows(self) -> int:
        """Return the number of rows in sealed shards, including shards of an earlier run."""
        return sum(shard.rows for shard in self.sealed)

    def replay(self, tables: Iterator[Any]) -> None:
        """Consume the `sealed_rows` rows of an earlier run, in its windows; raises DataError unless they are
        the same.
        """
        first = 1
        for expected in self.sealed:
            source, rows = hashlib.sha256(), 0
            while rows < expected.rows and (table := next(tables, None)) is not None:
                source.update(_serialised(table))
                rows += table.num_rows
            if rows != expected.rows or source.hexdigest() != expected.source:
                raise self._changed(f"in records {first} to {first + expected.rows - 1}")
            first += rows

    def require_same(self, sources: Iterable[str]) -> None:
        """Compare the shards of an earlier run with the digests of the records now in their places; raises
        DataError unless they are equal.
        """
        first = 1
        for expected, source in zip_longest(self.sealed, islice(sources, len(self.sealed))):
            if source != expected.source:
                raise self._changed(f"in records {first} to {first + expected.rows - 1}")
            first += expected.rows

    def append_table(self, table: Any) -> None:
        """Add rows; a full shard is sealed at once. A column `vector`, if present, is not part of the source
        digest.
        """
        if self.sealed and self.sealed[-1].rows < self.shard_rows:  # only the last shard of an input is short
            raise self._changed(f"and it continues after record {self.sealed_rows}")
        self._source.update(_serialised(table))
        while table.num_rows:
            part = table.slice(0, self.shard_rows - self._rows)
            self._tables.append(part)
            self._rows += part.num_rows
            table = table.slice(part.num_rows)
            if self._rows == self.shard_rows:
                self._seal()

    def close(self) -> list[Shard]:
        """Seal the remaining rows and return all shards; the journal stays until `drop_journal`."""
        if self._rows:
            self._seal()
        return self.sealed

    def _seal(self) -> None:
        table = self._shape(tables.join(self._tables))
        self.adopt(write_shard(self.folder, len(self.sealed), table, self._source.hexdigest()))
        self._tables, self._rows, self._source = [], 0, hashlib.sha256()

    def adopt(self, shard: Shard) -> None:
        """Record the next shard, whose file already exists, as sealed."""
        with open(self.folder / JOURNAL, "ab") as journal:
            journal.write(orjson.dumps(asdict(shard)) + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
        self.sealed.append(shard)

    def _changed(self, how: str) -> DataError:
        return DataError(
            f"the input has changed since the unfinished run, {how}",
            where=str(self.folder),
            hint="start again with `force=True`",
        )

    def _shape(self, table: Any) -> Any:
        """Return a full shard's table in its final form before it is written; a hook for subclasses."""
        return table


def shard_name(place: int) -> str:
    """Return the file name of the shard at a place of a set."""
    return f"part-{place:05d}.arrow"


def write_shard(folder: Path, place: int, table: Any, source: str) -> Shard:
    """Write a table as the shard at a place of a set; `source` is the digest of the records it was made
    from.
    """
    file = shard_name(place)
    size, digest = write_table(folder / file, table)
    return Shard(file, table.num_rows, size, digest, source)


def source_digest(tables: Iterable[Any]) -> str:
    """Return the digest of the records in these tables, one window per table; vectors are not part of it."""
    source = hashlib.sha256()
    for table in tables:
        source.update(_serialised(table))
    return source.hexdigest()


def drop_journal(folder: Path) -> None:
    """Remove the journal of a finished set, if it exists."""
    with suppress(FileNotFoundError, NotADirectoryError):
        (folder / JOURNAL).unlink()


def write_table(path: Path, table: Any) -> tuple[int, str]:
    """Write one Arrow IPC file, whole or not at all; return its size in bytes and its SHA-256."""
    import pyarrow as pa

    with whole_file(path) as file:
        hashing = _HashingFile(file)
        with pa.ipc.new_file(pa.PythonFile(hashing, mode="w"), table.schema) as writer:
            writer.write_table(table.combine_chunks())
    return hashing.size, hashing.digest.hexdigest()


def write_tables(path: Path, tables: Iterable[Any]) -> None:
    """Write tables, whose columns may differ, as one Arrow IPC stream after the other, whole or not at
    all.
    """
    import pyarrow as pa

    with whole_file(path) as file:
        for table in tables:
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)


def read_tables(path: Path) -> Iterator[Any]:
    """Yield the tables that `write_tables` wrote."""
    import pyarrow as pa

    with pa.OSFile(os.fsencode(path)) as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as stream:
                yield stream.read_all()


def read_table(path: Path) -> Any:
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


def _sealed_whole(folder: Path, header: dict[str, Any]) -> Iterator[Shard]:
    """Yield the shards of an unfinished run up to the first damaged one."""
    lines = list(_journal_lines((folder / JOURNAL).read_bytes().splitlines()))
    begun = lines[0] if lines else {}
    header = orjson.loads(orjson.dumps(header))
    if begun != header:
        changed = sorted(key for key in {*begun, *header} if begun.get(key) != header.get(key))
        raise FormatError(
            f"the unfinished run had other settings: {', '.join(changed)}",
            where=str(folder),
            hint="start again with `force=True`",
        )
    for line in lines[1:]:
        shard = Shard(**line)
        try:
            check_shard(folder, shard)
        except FormatError:
            return
        yield shard


def _journal_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:  # cut short by a kill; later lines were never acknowledged
            return


def _serialised(table: Any) -> bytes:
    import pyarrow as pa

    names = [name for name in table.schema.names if name != "vector"]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.select(names).schema) as writer:
        writer.write_table(table.select(names).combine_chunks())
    return sink.getvalue()


class _HashingFile(io.RawIOBase):
    """A file that passes writes on and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        view = memoryview(block)
        self.digest.update(view)
        self.size += view.nbytes
        self.file.write(view)
        return view.nbytes
