"""A segment: rows that were indexed together and never change; the files of an index kind, the documents
in the same order, and tombstones of those that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.shards import Shard, ShardWriter, check_shard, drop_journal, read_table
from embedkit.data.vectors import Batch, checked
from embedkit.errors import DataError, FormatError
from embedkit.indexing.files import StoredFile, stored
from embedkit.indexing.kind import Floats, Kind, Mask, Rows, Space
from embedkit.indexing.tombstones import read_tombstones

DOCUMENTS = "documents"


@dataclass(frozen=True)
class Segment:
    """A part of an index, opened lazily and by memory map; `rows` counts those that are deleted too."""

    folder: Path
    rows: int
    kind: Kind
    files: tuple[StoredFile, ...]
    shards: tuple[Shard, ...]
    tombstones: StoredFile | None = None
    deleted: int = 0

    @classmethod
    def from_json(cls, folder: Path, value: dict[str, Any], kind: Kind) -> Segment:
        """Read what `to_json` wrote, or earlier versions; `folder` is the index's folder of segments."""
        if "files" in value:
            files = tuple(StoredFile(**file) for file in value["files"])
        else:  # version 1 knew one file
            files = (StoredFile("vectors.faiss", value["vectors_bytes"], value["vectors_sha256"]),)
        shards = tuple(Shard(**shard) for shard in value["documents"])
        tombstones = StoredFile(**value["tombstones"]) if value.get("tombstones") else None
        return cls(
            folder / value["name"], value["rows"], kind, files, shards, tombstones, value.get("deleted", 0)
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values for the manifest."""
        return {
            "name": self.folder.name,
            "rows": self.rows,
            "deleted": self.deleted,
            "tombstones": self.tombstones._asdict() if self.tombstones else None,
            "files": [file._asdict() for file in self.files],
            "documents": [asdict(shard) for shard in self.shards],
        }

    @property
    def live_rows(self) -> int:
        """Rows that are not deleted."""
        return self.rows - self.deleted

    @cached_property
    def live(self) -> Mask | None:
        """Which rows are not deleted, `(rows,)`; None when all are there."""
        if self.tombstones is None:
            return None
        return ~read_tombstones(self.folder, self.tombstones, self.rows, self.deleted)

    @property
    def stored_files(self) -> tuple[StoredFile, ...]:
        """Every file but the documents."""
        return (*self.files, *([self.tombstones] if self.tombstones else []))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.stored_files) + sum(shard.bytes for shard in self.shards)

    @cached_property
    def opened(self) -> Any:
        """What the kind searches, memory-mapped; raises FormatError when a file is damaged or of another
        size.
        """
        for file in self.files:
            file.require_size(self.folder)
        return self.kind.open(self.folder, self.rows)

    def search(self, queries: Floats, k: int, passing: Mask | None = None) -> tuple[Floats, Rows]:
        """Return scores and rows, each `(queries, k)`, best first; only rows that are not deleted and pass,
        `passing` being `(rows,)`, and no more columns than there are of those.
        """
        allowed = self.allowed(passing)
        k = min(k, self.rows if allowed is None else int(allowed.sum()))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        return self.kind.search(self.opened, np.ascontiguousarray(queries), k, allowed)

    def allowed(self, passing: Mask | None) -> Mask | None:
        """Return which rows pass and are not deleted, `(rows,)`; None when all do."""
        if passing is None or self.live is None:
            return self.live if passing is None else passing
        return self.live & passing

    def vectors(self, rows: Rows, dimension: int) -> Floats:
        """Return the stored vectors of some rows, `(len(rows), dimension)`."""
        return self.kind.vectors(self.opened, rows, dimension)

    def batches(self, dimension: int) -> Iterator[Batch]:
        """Yield the documents that are not deleted, with their stored vectors, a shard at a time."""
        for place, shard in enumerate(self.shards):
            rows = np.arange(shard.rows) + self._start(place)
            kept = np.ones(shard.rows, dtype=bool) if self.live is None else self.live[rows]
            if kept.any():
                yield Batch(self._table(place).filter(kept), self.vectors(rows[kept], dimension))

    def documents(self) -> Iterator[Any]:
        """Yield the documents of all rows, a table a shard."""
        return map(self._table, range(len(self.shards)))

    def find(self, ids: Any) -> Rows:
        """Return the rows, not deleted, whose ids are among `ids`, an Arrow array of strings."""
        import pyarrow.compute as pc

        found = [pc.is_in(table.column("id"), value_set=ids).to_numpy() for table in self.documents()]
        hits = np.concatenate(found) if found else np.zeros(0, dtype=bool)
        return np.flatnonzero(hits if self.live is None else hits & self.live)

    def ids(self) -> Any:
        """Return the ids of all rows that are not deleted, as an Arrow array."""
        import pyarrow as pa

        ids = [table.column("id").combine_chunks() for table in self.documents()]
        joined = pa.concat_arrays([pa.array([], pa.string()), *ids])
        return joined if self.live is None else joined.filter(pa.array(self.live))

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents of some rows as Python values, in the order asked; only their shards are
        touched.
        """
        places = np.searchsorted(self._ends, rows, side="right")
        found: list[dict[str, Any]] = [{} for _ in rows]
        for place in np.unique(places):
            wanted = np.flatnonzero(places == place)
            table, local = self._table(int(place)), rows[wanted] - self._start(int(place))
            try:
                documents = tables.rows_at(table, local.tolist(), columns)
            except (ValueError, SystemError) as error:
                where = str(self.folder / DOCUMENTS / self.shards[place].file)
                raise FormatError(f"is damaged: {error}", where=where, hint="embedkit index verify") from None
            for at, document in zip(wanted, documents, strict=True):
                found[at] = document
        return found

    def verify(self) -> None:
        """Raise FormatError when a file's size, checksum or rows are not what was written."""
        for shard in self.shards:
            check_shard(self.folder / DOCUMENTS, shard)
        for file in self.stored_files:
            file.require_whole(self.folder)
        rows = sum(table.num_rows for table in self.documents())
        if rows != self.rows:
            found = f"{rows} documents for {self.rows} vectors"
            raise FormatError(f"holds {found}", where=str(self.folder))
        _ = self.opened, self.live

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([shard.rows for shard in self.shards])

    @cached_property
    def _open(self) -> dict[int, Any]:
        return {}

    def _start(self, place: int) -> int:
        return int(self._ends[place]) - self.shards[place].rows

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
    files = tuple(map(stored, sorted(path for path in folder.iterdir() if path.is_file())))
    return Segment(folder, sum(shard.rows for shard in shards), kind, files, tuple(shards))


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
