"""A segment: rows that were indexed together and never change; the files of an index kind, and the documents
in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.shards import Shard, ShardWriter, check_shard, drop_journal, read_table
from embedkit.data.vectors import Batch, checked
from embedkit.embedding.fingerprint import file_sha256
from embedkit.errors import DataError, FormatError
from embedkit.indexing.kind import Floats, Kind, Rows, Space

DOCUMENTS = "documents"


class StoredFile(NamedTuple):
    """One file that a kind wrote."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Segment:
    """An immutable part of an index, opened lazily and by memory map."""

    folder: Path
    rows: int
    kind: Kind
    files: tuple[StoredFile, ...]
    shards: tuple[Shard, ...]

    @classmethod
    def from_json(cls, folder: Path, value: dict[str, Any], kind: Kind) -> Segment:
        """Read what `to_json` wrote, or version 1; `folder` is the index's folder of segments."""
        if "files" in value:
            files = tuple(StoredFile(**file) for file in value["files"])
        else:  # version 1 knew one file
            files = (StoredFile("vectors.faiss", value["vectors_bytes"], value["vectors_sha256"]),)
        shards = tuple(Shard(**shard) for shard in value["documents"])
        return cls(folder / value["name"], value["rows"], kind, files, shards)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values for the manifest."""
        return {
            "name": self.folder.name,
            "rows": self.rows,
            "files": [file._asdict() for file in self.files],
            "documents": [asdict(shard) for shard in self.shards],
        }

    @cached_property
    def opened(self) -> Any:
        """What the kind searches, memory-mapped; raises FormatError when a file is damaged or of another
        size.
        """
        for file in self.files:
            _require_size(self.folder / file.name, file)
        return self.kind.open(self.folder, self.rows)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return scores and rows, each `(queries, min(k, rows))`, best first."""
        return self.kind.search(self.opened, np.ascontiguousarray(queries), min(k, self.rows))

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents of some rows as Python values, in the order asked; only their shards are
        touched.
        """
        places = np.searchsorted(self._ends, rows, side="right")
        found: list[dict[str, Any]] = [{} for _ in rows]
        for place in np.unique(places):
            wanted = np.flatnonzero(places == place)
            start = int(self._ends[place]) - self.shards[place].rows
            table = self._table(int(place))
            try:
                documents = tables.rows_at(table, (rows[wanted] - start).tolist(), columns)
            except (ValueError, SystemError) as error:
                where = str(self.folder / DOCUMENTS / self.shards[place].file)
                raise FormatError(f"is damaged: {error}", where=where, hint="embedkit index verify") from None
            for at, document in zip(wanted, documents, strict=True):
                found[at] = document
        return found

    def verify(self) -> None:
        """Raise FormatError when a file's size or checksum is not what was written."""
        for shard in self.shards:
            check_shard(self.folder / DOCUMENTS, shard)
        for file in self.files:
            path = self.folder / file.name
            _require_size(path, file)
            if file_sha256(path) != file.sha256:
                raise FormatError("has another checksum than was written", where=str(path))
        if self.rows != sum(shard.rows for shard in self.shards):
            raise FormatError("documents and vectors differ in number", where=str(self.folder))
        _ = self.opened

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([shard.rows for shard in self.shards])

    @cached_property
    def _open(self) -> dict[int, Any]:
        return {}

    def _table(self, place: int) -> Any:
        if place not in self._open:
            self._open[place] = read_table(self.folder / DOCUMENTS / self.shards[place].file)
        return self._open[place]


def write_segment(folder: Path, kind: Kind, batches: Iterable[Batch], space: Space) -> Segment:
    """Write a segment of all batches into a new folder, one batch in memory at a time.

    Raises DataError when there is no row, a vector is not finite, or an id comes twice.
    """
    folder.mkdir()
    documents = ShardWriter(folder / DOCUMENTS, {})
    ids: list[NDArray[np.uint64]] = []
    width = space.dimension if space.codes is None else space.codes.width

    def blocks() -> Iterator[NDArray[Any]]:
        for table, vectors in checked(batches, width):
            documents.append(table)
            ids.append(_hashes(table.column("id").to_pylist()))
            yield vectors
        if not ids:
            raise DataError("there is nothing to index")

    kind.build(blocks(), space, folder)
    shards = documents.close()
    drop_journal(documents.folder)
    _refuse_repeated(documents.folder, shards, np.concatenate(ids))
    files = tuple(map(_stored, sorted(path for path in folder.iterdir() if path.is_file())))
    return Segment(folder, sum(shard.rows for shard in shards), kind, files, tuple(shards))


def _stored(path: Path) -> StoredFile:
    return StoredFile(path.name, path.stat().st_size, file_sha256(path))


def _require_size(path: Path, file: StoredFile) -> None:
    """Raise FormatError unless a file has the size that was written; FAISS itself crashes on some that were
    cut short.
    """
    size = path.stat().st_size if path.is_file() else None
    if size != file.bytes:
        found = "is missing" if size is None else f"has {size} bytes, {file.bytes} were written"
        raise FormatError(found, where=str(path), hint="the folder is damaged")


def _hashes(ids: list[str]) -> NDArray[np.uint64]:
    return np.fromiter((hash(id) & 0xFFFFFFFFFFFFFFFF for id in ids), dtype=np.uint64, count=len(ids))


def _refuse_repeated(folder: Path, shards: list[Shard], hashes: NDArray[np.uint64]) -> None:
    """Raise DataError naming an id that comes twice; 8 bytes a row, and the ids themselves only where
    hashes meet.
    """
    ordered = np.sort(hashes)
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    seen: dict[str, int] = {}
    row = 0
    for shard in shards:
        for id in read_table(folder / shard.file).column("id").to_pylist():
            row += 1
            if hash(id) & 0xFFFFFFFFFFFFFFFF in suspects:
                if id in seen:
                    raise DataError(f"id {id!r} comes twice, as records {seen[id]} and {row}")
                seen[id] = row
