"""A segment: rows that were indexed together and never change.

It consists of the files of an index kind, the documents in the same order, and tombstones of deleted rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.data.vectors import schemas
from embedkit.data.vectors.arrow_arrays import booleans
from embedkit.data.vectors.shards import Shard
from embedkit.errors import FormatError
from embedkit.indexing.documents import DOCUMENTS, Documents
from embedkit.indexing.kind import Floats, IndexKind, Mask, Rows
from embedkit.indexing.stored_files import StoredFile
from embedkit.indexing.tombstones import read_tombstones

if TYPE_CHECKING:
    import pyarrow as pa

    from embedkit.data.vectors.meta import Batch
    from embedkit.indexing.lexical.postings import Postings


@dataclass(frozen=True)
class Segment:
    """A part of an index, opened lazily and by memory map; `rows` includes deleted rows."""

    folder: Path
    rows: int
    kind: IndexKind
    files: tuple[StoredFile, ...]
    shards: tuple[Shard, ...]
    tombstones: StoredFile | None = None
    deleted: int = 0

    @classmethod
    def from_json(cls, folder: Path, value: dict[str, Any], kind: IndexKind) -> Segment:
        """Read the JSON values of `to_json` or of earlier versions; `folder` is the index's folder of
        segments.
        """
        if "files" in value:
            files = tuple(StoredFile(**file) for file in value["files"])
        else:  # version 1 has one file
            files = (StoredFile("vectors.faiss", value["vectors_bytes"], value["vectors_sha256"]),)
        shards = tuple(Shard(**shard) for shard in value["documents"])
        tombstones = StoredFile(**value["tombstones"]) if value.get("tombstones") else None
        return cls(
            folder / value["name"], value["rows"], kind, files, shards, tombstones, value.get("deleted", 0)
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for the manifest."""
        return {
            "name": self.folder.name,
            "rows": self.rows,
            "deleted": self.deleted,
            "tombstones": self.tombstones.to_json() if self.tombstones else None,
            "files": [file.to_json() for file in self.files],
            "documents": [asdict(shard) for shard in self.shards],
        }

    @property
    def live_rows(self) -> int:
        """Count the rows that are not deleted."""
        return self.rows - self.deleted

    @cached_property
    def live(self) -> Mask | None:
        """Return the mask of rows that are not deleted, `(rows,)`; None if no row was deleted."""
        if self.tombstones is None:
            return None
        return ~read_tombstones(self.folder, self.tombstones, self.rows, self.deleted)

    @property
    def stored_files(self) -> tuple[StoredFile, ...]:
        """Return all files except the documents."""
        return (*self.files, *([self.tombstones] if self.tombstones else []))

    @property
    def size(self) -> int:
        """Count the bytes of all files."""
        return sum(file.bytes for file in self.stored_files) + sum(shard.bytes for shard in self.shards)

    @cached_property
    def opened(self) -> Any:
        """Return the kind's memory-mapped object for searches; raises FormatError when a file is damaged or
        of another size.
        """
        for file in self.files:
            file.require_ends(self.folder)
        return self.kind.open(self.folder, self.rows)

    def open(self) -> Any:
        """Open the kind's files, once, and return `opened`."""
        return self.opened

    def warm(self) -> None:
        """Prepare the kind's files for the first search, so that it need not."""
        self.kind.warm(self.opened)

    def open_tombstones(self) -> Mask | None:
        """Read the tombstones, once, since a writer may delete them later; return `live`."""
        return self.live

    def open_postings(self) -> Postings | None:
        """Open the postings, once, and return `postings`."""
        return self.postings

    @cached_property
    def postings(self) -> Postings | None:
        """Return the memory-mapped postings of the texts, or None without any; raises FormatError when the
        file is damaged or of another size.
        """
        from embedkit.indexing.lexical.postings import POSTINGS, Postings

        for file in self.files:
            if file.name == POSTINGS:
                file.require_ends(self.folder)
                return Postings.open(self.folder, self.rows)
        return None

    def search(self, queries: Floats, k: int, passing: Mask | None = None) -> tuple[Floats, Rows]:
        """Return scores and rows, each `(queries, k)`, best first.

        Only rows that are not deleted and pass, `passing` being `(rows,)`, are returned; `k` is reduced to
        their number.
        """
        allowed = self.allowed(passing)
        k = min(k, self.rows if allowed is None else int(allowed.sum()))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, rows = self.kind.search(self.opened, np.ascontiguousarray(queries), k, allowed)
        if rows.size and (rows.min() < 0 or rows.max() >= self.rows):
            raise self._damaged("a search of it found rows that are not there")
        return scores, rows

    def allowed(self, passing: Mask | None) -> Mask | None:
        """Return the mask of rows that pass and are not deleted, `(rows,)`; None if all rows do."""
        if passing is None or self.live is None:
            return self.live if passing is None else passing
        return self.live & passing

    def vectors(self, rows: Rows, dimension: int) -> Floats:
        """Return the stored vectors of some rows, `(len(rows), dimension)`."""
        try:
            return self.kind.vectors(self.opened, rows, dimension)
        except RuntimeError as error:  # a fault that FAISS found
            raise self._damaged(str(error)) from None

    def batches(self, dimension: int) -> Iterator[Batch]:
        """Yield the documents that are not deleted, with their stored vectors, one shard at a time."""
        from embedkit.data.vectors.meta import Batch

        start = 0
        for table in self.documents():
            rows = np.arange(start, start + table.num_rows)
            kept = np.ones(table.num_rows, dtype=bool) if self.live is None else self.live[rows]
            if kept.any():
                yield Batch(schemas.plain(table).filter(booleans(kept)), self.vectors(rows[kept], dimension))
            start += table.num_rows

    def documents(self) -> Iterator[pa.Table]:
        """Yield the documents of all rows, one table per shard."""
        return self._documents.tables()

    def find(self, ids: object) -> Rows:
        """Return the rows, not deleted, whose ids are among `ids`, an Arrow array of strings."""
        import pyarrow.compute as pc

        found, start = [np.zeros(0, dtype=np.int64)], 0
        for table in self.documents():
            places = pc.indices_nonzero(pc.is_in(table.column("id"), value_set=ids))
            found.append(np.from_dlpack(places).astype(np.int64) + start)  # `to_numpy` imports pandas
            start += table.num_rows
        rows = np.concatenate(found)
        return rows if self.live is None else rows[self.live[rows]]

    def ids(self) -> Any:
        """Return the ids of all rows that are not deleted, as an Arrow array."""
        import pyarrow as pa

        ids = [table.column("id").combine_chunks() for table in self.documents()]
        joined = pa.concat_arrays([pa.array([], pa.string()), *ids])
        return joined if self.live is None else joined.filter(booleans(self.live))

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents of some rows as Python values, in the order of `rows`; only the shards of
        these rows are read.
        """
        return self._documents.take(rows, columns)

    def verify(self) -> None:
        """Raise FormatError when the size, checksum or rows of a file differ from what was written.

        Tombstones are checked once, when they are read, since a writer deletes those that it has replaced.
        """
        self._documents.verify()
        for file in self.files:
            file.require_whole(self.folder)
        rows = sum(table.num_rows for table in self.documents())
        if rows != self.rows:
            found = f"{rows} documents for {self.rows} vectors"
            raise FormatError(f"holds {found}", where=str(self.folder))
        self.open()
        self.open_tombstones()
        self.open_postings()

    @cached_property
    def _documents(self) -> Documents:
        return Documents(self.folder / DOCUMENTS, self.shards)

    def _damaged(self, what: str) -> FormatError:
        return FormatError(f"is damaged: {what}", where=str(self.folder), hint="embedkit index verify")


def warn_of_mixed_fields(segments: Iterable[Segment]) -> None:
    """Warn about each field whose types in these segments have no common type."""
    schemas.unify(table.schema for segment in segments for table in segment.documents())
