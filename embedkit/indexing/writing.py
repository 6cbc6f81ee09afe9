"""The single writer of an index: its files lie next to the existing ones until the manifest is replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedkit.data.atomic import discard, flush_folder, whole_folder
from embedkit.data.folders.file_states import FileStates
from embedkit.errors import FormatError
from embedkit.indexing.followed_files import STATES, store_states
from embedkit.indexing.kind import Rows
from embedkit.indexing.lock import discard_unread, writer_lock
from embedkit.indexing.manifest import MANIFEST, SEGMENTS, read_manifest, write_manifest
from embedkit.indexing.segment import Segment
from embedkit.indexing.store import MAP, Index
from embedkit.indexing.stored_files import stored
from embedkit.indexing.tombstones import PREFIX, write_tombstones


class Writer:
    """The only process that changes an index; `index` is the generation it starts from, then the one it
    wrote.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.generation = index.manifest.generation + 1

    @property
    def folder(self) -> Path:
        """Return the folder into which the segment of this generation is written."""
        return self.index.path / SEGMENTS / f"{self.generation:05d}"

    def bury(self, segment: Segment, rows: Rows) -> Segment:
        """Return a segment with some rows, not deleted before, marked as deleted."""
        if not len(rows):
            return segment
        deleted = np.zeros(segment.rows, dtype=bool) if segment.live is None else ~segment.live
        deleted[rows] = True
        file = write_tombstones(segment.folder, deleted, self.generation)
        return replace(segment, tombstones=file, deleted=int(deleted.sum()))

    def commit(self, segments: Iterable[Segment], states: FileStates | None = None) -> Index:
        """Replace the manifest with one that names these segments, and new states of files if they are given;
        return the resulting index.
        """
        old, path = self.index.manifest, self.index.path
        kept_map = stored(path / MAP) if (path / MAP).is_file() else None
        flush_folder(path / SEGMENTS)
        living = tuple(segment for segment in segments if segment.live_rows)
        dropped = {one.folder.name for one in old.segments} - {one.folder.name for one in living}
        numbered = first_free_number(self.index) - 1 if dropped else old.numbered
        files = old.files if states is None else store_states(path, self.generation, states)
        new = replace(
            old, segments=living, map=kept_map, generation=self.generation, numbered=numbered, files=files
        )
        write_manifest(path, new)
        self.index = Index(path, read_manifest(path))
        return Index.open(path)


def first_free_number(index: Index) -> int:
    """Return one more than the largest number that is or was an id, or than the count of rows, deleted rows
    included.
    """
    import pyarrow.compute as pc

    largest = max(index.stored_rows, index.manifest.numbered)
    for table in (table for segment in index.segments for table in segment.documents()):
        ids = table.column("id")
        numbers = pc.cast(ids.filter(pc.match_substring_regex(ids, "^[0-9]{1,18}$")), "int64")
        largest = max(largest, pc.max(numbers).as_py() or 0)
    return int(largest) + 1


@contextmanager
def writing(path: str | Path) -> Iterator[Writer]:
    """Lock an index against other writers, and delete files that neither it nor a reader needs: before the
    block, those that a killed writer left, and after it, those that were replaced. Raises ExistsError while
    another process writes.
    """
    path = Path(path)
    read_manifest(path)  # raises if it is not an index, before a lock is made
    with writer_lock(path):
        writer = Writer(Index(path, read_manifest(path)))  # without leases, which would block its own `clear`
        try:
            clear(writer.index)
            yield writer
        finally:
            clear(writer.index)


class Replacement(NamedTuple):
    """A folder that becomes an index, and its first segment number.

    No segment of an earlier index at the same path had that number, so a reader of the earlier one never
    opens a file of this one.
    """

    folder: Path
    first: int


@contextmanager
def replacing(path: Path) -> Iterator[Replacement]:
    """Yield a folder that becomes the index `path`, complete, when the block ends without an error.

    An existing index is locked against other writers meanwhile. Raises ExistsError while another process
    writes it.
    """
    with writer_lock(path) if (path / MANIFEST).is_file() else nullcontext(), whole_folder(path) as folder:
        (folder / SEGMENTS).mkdir()
        yield Replacement(folder, _generation(path) + 1)


def _generation(path: Path) -> int:
    """Return the generation of an index; -1 if there is no readable index."""
    try:
        return read_manifest(path).generation
    except FormatError:
        return -1


def clear(index: Index) -> None:
    """Delete segments and tombstones that the manifest does not name, except segments with readers."""
    named = {segment.folder.name: segment for segment in index.segments}
    for folder in (index.path / SEGMENTS).iterdir():
        if folder.name not in named:
            discard_unread(folder)
            continue
        kept = named[folder.name].tombstones
        for file in folder.glob(f"{PREFIX}*"):
            if kept is None or file.name != kept.name:
                discard(file)
        for left in folder.glob(f".{PREFIX}*"):
            discard(left)
    for left in index.path.glob(f".{MANIFEST}.*.tmp"):
        discard(left)
    for file in index.path.glob(f"{STATES}*"):
        if index.manifest.files is None or file.name != index.manifest.files.name:
            discard(file)
