"""Writing of shards, with a journal to resume from after a kill."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from embedkit.data.atomic import whole_file
from embedkit.data.vectors import schemas
from embedkit.data.vectors.shards import SHARD_ROWS, Shard, check_shard, write_shard
from embedkit.errors import DataError, FormatError

if TYPE_CHECKING:
    import pyarrow as pa

JOURNAL = "journal.jsonl"


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
        self._tables: list[pa.Table] = []
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

    def replay(self, tables: Iterator[pa.Table]) -> None:
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

    def append_table(self, table: pa.Table) -> None:
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
        table = self._shape(schemas.join(self._tables))
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

    def _shape(self, table: pa.Table) -> pa.Table:
        """Return a full shard's table in its final form before it is written; a hook for subclasses."""
        return table


def source_digest(tables: Iterable[pa.Table]) -> str:
    """Return the digest of the records in these tables, one window per table; vectors are not part of it."""
    source = hashlib.sha256()
    for table in tables:
        source.update(_serialised(table))
    return source.hexdigest()


def drop_journal(folder: Path) -> None:
    """Remove the journal of a finished set, if it exists."""
    with suppress(FileNotFoundError, NotADirectoryError):
        (folder / JOURNAL).unlink()


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


def _serialised(table: pa.Table) -> bytes:
    import pyarrow as pa

    names = [name for name in table.schema.names if name != "vector"]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.select(names).schema) as writer:
        writer.write_table(table.select(names).combine_chunks())
    return sink.getvalue()
