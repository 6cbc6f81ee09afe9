"""Syncing of an index with the folders that it was built from: only what changed is read and encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedkit.data.folders.changes import Changes, find_changes
from embedkit.data.folders.file_states import FileStates, Root
from embedkit.data.folders.folder_counts import FolderCounts
from embedkit.data.folders.folder_source import warn_of
from embedkit.data.vectors.arrow_arrays import strings
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.data.vectors.vector_set import Batch
from embedkit.embedding.encoder import Encoder
from embedkit.embedding.encoding import encode_batches
from embedkit.errors import UsageError
from embedkit.indexing.building import unit_batches
from embedkit.indexing.kept_vectors import KeptVectors
from embedkit.indexing.kind import Layout
from embedkit.indexing.segment import Segment
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.store import Index
from embedkit.indexing.writing import Writer, writing


class Synced(NamedTuple):
    """The result of `sync`: the new index, counts of files and of passages, and of what the walk met."""

    after: Index
    new: int  # files
    changed: int  # files
    vanished: int  # files
    added: int  # passages
    deleted: int  # passages
    encoded: int  # texts; the vectors of the other passages that were added are copied
    counts: FolderCounts


def sync(
    path: str | Path,
    load: Callable[[], Encoder],
    *,
    folders: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    moved: bool = False,
) -> Synced:
    """Make an index equal to a fresh build of its folders, in one commit; the old index stays until then.

    A file is read if its size or time has changed, and encoded if its content has; vectors of passages that
    only moved, or whose file was renamed, are copied. Documents that came from elsewhere stay. `folders` and
    `settings` may repeat those of the index; with `moved`, `folders` are the new places of its folders, in
    their order. Kinds that store exact vectors get few segments: small ones are merged.

    Raises UsageError for an index that follows no folder, other folders or other settings, DataError when a
    folder is not there, and ExistsError while another process writes.
    """
    with writing(path) as writer:
        states = _followed(writer.index, folders, moved=moved)
        _require_settings(states, settings or {}, path)
        changes = find_changes(states)
        if changes.empty and not moved:
            warn_of(changes.counts)
            return Synced(Index.open(path), 0, 0, 0, 0, 0, 0, changes.counts)
        return _synced(writer, changes, load, moved=moved)


def _synced(writer: Writer, changes: Changes, load: Callable[[], Encoder], *, moved: bool) -> Synced:
    index = writer.index
    rows = np.fromiter(index.find(changes.old_passages()).values(), dtype=np.int64)
    vectors = KeptVectors(index, rows, load, headings=changes.after.settings.headings)
    merging = _Merging(writer, changes)
    batches = encode_batches(vectors, changes.records(vectors.token_places), block=SHARD_ROWS)
    if index.metric == "cosine":
        batches = unit_batches(batches, declared=vectors.identity.normalized)
    every = merging.batches(batches)
    first = next(every, None)
    segments = merging.kept
    if first is not None:
        layout = Layout(index.dimension, index.metric)
        joined = chain([first], every)
        segment = write_segment(writer.folder, index.settings, joined, layout, index.manifest.lexical)
        segments = [*merging.kept, segment]
    warn_of(changes.counts)
    if changes.found or moved:
        index = writer.commit(segments, changes.after)
    figures = changes.new, changes.changed, len(changes.vanished) + changes.unreadable
    return Synced(
        Index.open(index.path), *figures, merging.added, merging.deleted, vectors.encoded, changes.counts
    )


class _Merging:
    """The segments of an index while passages are replaced: `kept` stay, the others join the new segment."""

    def __init__(self, writer: Writer, changes: Changes) -> None:
        self._writer, self._changes = writer, changes
        self.kept: list[Segment] = []
        self.added = self.deleted = 0

    def batches(self, new: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the new batches, and then the documents of the segments that are merged with them."""
        ids: list[str] = []
        for batch in new:
            ids += batch.table.column("id").to_pylist()
            yield batch
        self.added = len(ids)
        index = self._writer.index
        gone = [segment.find(strings([*self._changes.gone, *ids])) for segment in index.segments]
        self.deleted = sum(map(len, gone))
        buried = [self._writer.bury(*pair) for pair in zip(index.segments, gone, strict=True)]
        self.kept, merged = _divided(buried, self.added, exact=index.settings.keeps_vectors)
        for segment in merged:
            yield from segment.batches(index.dimension)


def _divided(segments: list[Segment], added: int, *, exact: bool) -> tuple[list[Segment], list[Segment]]:
    """Return the segments to keep and those to merge with `added` new rows, oldest first.

    The newest segments are merged while they are not larger than twice what has come together, so that their
    number grows with the logarithm of the rows; so are segments of which more than half is deleted. Vectors
    that a kind rounds would be rounded again: its segments are kept.
    """
    if not exact:
        return segments, []
    merged: list[Segment] = []
    kept: list[Segment] = []
    rows = added
    for segment in reversed(segments):
        small = rows and not kept and segment.live_rows <= 2 * rows
        if small or segment.deleted > segment.rows // 2:
            merged.insert(0, segment)
            rows += segment.live_rows
        else:
            kept.insert(0, segment)
    return kept, merged


def _followed(index: Index, folders: Sequence[str], *, moved: bool) -> FileStates:
    """Return the states of the files that an index follows; with `moved`, in their new places."""
    states, where = index.states, str(index.path)
    if states is None:
        hint = f"build it of a folder: embedkit index FOLDER -o {where}"
        raise UsageError("follows no folder, so it cannot be synced", where=where, hint=hint)
    places = [str(Path(folder).resolve()) for folder in folders]
    if moved:
        if len(places) != len(states.roots):
            what = f"needs the new places of {len(states.roots)} folders, got {len(places)}"
            raise UsageError(what, where="`moved`", hint=_listed(states.roots))
        return states.at(
            tuple(Root(root.name, place) for root, place in zip(states.roots, places, strict=True))
        )
    known = {root.path for root in states.roots}
    for folder, place in zip(folders, places, strict=True):
        if place not in known:
            hint = f"it follows {_listed(states.roots)}; if that was moved here, add `moved=True`"
            raise UsageError(f"is not a folder that {where} follows", where=folder, hint=hint)
    return states


def _require_settings(states: FileStates, settings: Mapping[str, object], path: str | Path) -> None:
    for name, value in settings.items():
        known = getattr(states.settings, name)
        if known != value:
            shown = " ".join(known) if isinstance(known, tuple) else known
            what = f"the index was built with {shown if shown != '' else 'none'}"
            hint = "omit it, or build the index anew with `force=True`"
            raise UsageError(what, where=f"{path}: `{name}`", hint=hint)


def _listed(roots: Sequence[Root]) -> str:
    return ", ".join(root.path for root in roots)
