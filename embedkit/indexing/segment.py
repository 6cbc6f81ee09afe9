"""A segment: rows that were indexed together and never change; a FAISS index, and the documents in the
same order.
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
from embedkit.embedding.fingerprint import file_sha256
from embedkit.errors import DataError, FormatError

VECTORS = "vectors.faiss"
DOCUMENTS = "documents"

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """An immutable part of an index, opened lazily and by memory map."""

    folder: Path
    rows: int
    vectors_bytes: int
    vectors_sha256: str
    shards: tuple[Shard, ...]

    @classmethod
    def from_json(cls, folder: Path, value: dict[str, Any]) -> Segment:
        """Read what `to_json` wrote; `folder` is the index's folder of segments."""
        shards = tuple(Shard(**shard) for shard in value["documents"])
        return cls(
            folder / value["name"], value["rows"], value["vectors_bytes"], value["vectors_sha256"], shards
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values for the manifest."""
        documents = [asdict(shard) for shard in self.shards]
        return {
            "name": self.folder.name,
            "rows": self.rows,
            "vectors_bytes": self.vectors_bytes,
            "vectors_sha256": self.vectors_sha256,
            "documents": documents,
        }

    @cached_property
    def faiss_index(self) -> Any:
        """The FAISS index, memory-mapped; raises FormatError when it is damaged or of another size."""
        import faiss

        path = self._vectors_path()
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (RuntimeError, OSError) as error:
            raise FormatError(f"is not a whole FAISS index: {error}", where=str(path)) from None
        if index.ntotal != self.rows:
            raise FormatError(f"holds {index.ntotal} vectors, the manifest says {self.rows}", where=str(path))
        return index

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return scores and rows, each `(queries, min(k, rows))`, best first."""
        scores, rows = self.faiss_index.search(np.ascontiguousarray(queries), min(k, self.rows))
        return scores, rows

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
        path = self._vectors_path()
        if file_sha256(path) != self.vectors_sha256:
            raise FormatError("has another checksum than was written", where=str(path))
        if self.faiss_index.ntotal != sum(shard.rows for shard in self.shards):
            raise FormatError("documents and vectors differ in number", where=str(self.folder))

    def _vectors_path(self) -> Path:
        """Return the FAISS file, of the size that was written; FAISS itself crashes on some that were cut
        short.
        """
        path = self.folder / VECTORS
        size = path.stat().st_size if path.is_file() else None
        if size != self.vectors_bytes:
            found = "is missing" if size is None else f"has {size} bytes, {self.vectors_bytes} were written"
            raise FormatError(found, where=str(path), hint="the folder is damaged")
        return path

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


def write_segment(folder: Path, kind: Any, batches: Iterable[Batch], dimension: int) -> Segment:
    """Write a segment of all batches into a new folder, one batch in memory at a time.

    Raises DataError when there is no row, a vector is not finite, or an id comes twice.
    """
    folder.mkdir()
    documents = ShardWriter(folder / DOCUMENTS, {})
    ids: list[NDArray[np.uint64]] = []

    def blocks() -> Iterator[Floats]:
        for table, vectors in checked(batches, dimension):
            documents.append(table)
            ids.append(_hashes(table.column("id").to_pylist()))
            yield vectors

    kind.build(blocks(), dimension, folder / VECTORS)
    shards = documents.close()
    drop_journal(documents.folder)
    if not shards:
        raise DataError("there is nothing to index")
    _refuse_repeated(documents.folder, shards, np.concatenate(ids))
    rows, file = sum(shard.rows for shard in shards), folder / VECTORS
    return Segment(folder, rows, file.stat().st_size, file_sha256(file), tuple(shards))


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
