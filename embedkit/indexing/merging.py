"""Merging of indexes with one encoder: their segments are copied unchanged, and nothing is computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedkit.data.atomic import flush_folder
from embedkit.errors import DataError, MismatchError
from embedkit.indexing.documents import DOCUMENTS
from embedkit.indexing.followed_files import joined_states, store_states
from embedkit.indexing.kind import Rows
from embedkit.indexing.manifest import SEGMENTS, write_manifest
from embedkit.indexing.segment import Segment, warn_of_mixed_fields
from embedkit.indexing.store import MAP, Index
from embedkit.indexing.stored_files import StoredFile, stored
from embedkit.indexing.writing import Writer, replacing


def merge(paths: Sequence[str | Path], output: str | Path, *, replaces: bool = False) -> Index:
    """Merge indexes with one encoder, kind and metric into a new one, segment by segment, without
    computation.

    An id that occurs in two of them raises DataError; with `replaces`, its last document is kept instead.
    Raises FormatError when a file differs from what was written.
    """
    indexes = [Index.open(path) for path in paths]
    first, output = indexes[0], Path(output)
    for index in indexes:
        _require_alike(first, index)
        index.verify()
    warn_of_mixed_fields(segment for index in indexes for segment in index.segments)
    buried = _buried(indexes, replaces=replaces)
    states = joined_states([index.states for index in indexes], output)
    with replacing(output) as (folder, number):
        copies = [
            _copied(segment, folder / SEGMENTS / f"{place:05d}")
            for place, segment in enumerate((part for index in indexes for part in index.segments), number)
        ]
        generation = number + max(len(copies), 1)
        kept_map: StoredFile | None = None
        if first.map is not None:
            shutil.copyfile(first.path / MAP, folder / MAP)
            kept_map = stored(folder / MAP)
        manifest = replace(first.manifest, segments=(), map=kept_map, generation=generation - 1, tuning=None)
        numbered = max(index.manifest.numbered for index in indexes)
        manifest = replace(manifest, numbered=numbered, weight=None)  # tuned on the documents of one
        files = store_states(folder, generation, states) if states is not None else None
        manifest = replace(manifest, files=files)
        writer = Writer(Index(folder, manifest))
        segments = [writer.bury(copy, rows) for copy, rows in zip(copies, buried, strict=True)]
        write_manifest(folder, replace(manifest, segments=tuple(segments), generation=generation))
    return Index.open(output)


def _buried(indexes: Sequence[Index], *, replaces: bool) -> list[Rows]:
    """Return, for each segment of all indexes, the rows that are deleted or whose ids occur in a
    later index.
    """
    import pyarrow as pa

    buried: list[Rows] = []
    later = pa.array([], pa.string())
    for index in reversed(indexes):
        rows = [segment.find(later) for segment in index.segments]
        for segment, found in zip(index.segments, rows, strict=True):
            if len(found) and not replaces:
                (document,) = segment.take(found[:1], ["id"])
                what = f"id {document['id']!r} is in more than one index"
                raise DataError(what, where=str(index.path), hint="keep the later one with `replace=True`")
        dead = map(_dead, index.segments)
        buried = [np.concatenate(pair) for pair in zip(rows, dead, strict=True)] + buried
        later = pa.concat_arrays([later, *(segment.ids() for segment in index.segments)])
    return buried


def _require_alike(one: Index, other: Index) -> None:
    for what in ("kind", "metric", "dimension"):
        sides = getattr(one, what), getattr(other, what)
        if sides[0] != sides[1]:
            message = f"has {what} {sides[1]}, {one.path} has {sides[0]}"
            raise MismatchError(message, where=str(other.path), hint="indexes of one kind are merged")
    if one.manifest.lexical != other.manifest.lexical:
        what = f"has the lexical part {other.manifest.lexical}, {one.path} has {one.manifest.lexical}"
        hint = f"embedkit index compact {other.path} --lexical SETTINGS changes it"
        raise MismatchError(what, where=str(other.path), hint=hint)
    if one.identity is None or other.identity is None:
        if one.identity != other.identity:
            message = f"comes from {other.identity or 'an unknown encoder'}"
            theirs = f"{one.path} from {one.identity or 'an unknown encoder'}"
            raise MismatchError(f"{message}, {theirs}", where=str(other.path))
        return
    one.identity.require_same_space(
        other.identity, where=str(other.path), mine=str(one.path), others="this index"
    )


def _copied(segment: Segment, folder: Path) -> Segment:
    """Copy the files of a segment, flushed to disk, except its tombstones (see `_dead`)."""
    (folder / DOCUMENTS).mkdir(parents=True)
    names = [file.name for file in segment.files]
    names += [f"{DOCUMENTS}/{shard.file}" for shard in segment.shards]
    for name in names:
        shutil.copyfile(segment.folder / name, folder / name)
        with open(folder / name, "rb+") as file:
            os.fsync(file.fileno())
    for place in (folder / DOCUMENTS, folder):
        flush_folder(place)
    return replace(segment, folder=folder, tombstones=None, deleted=0)


def _dead(segment: Segment) -> Rows:
    """Return the rows that were deleted when the index was opened; a writer may since have removed the
    tombstone file.
    """
    return np.empty(0, np.int64) if segment.live is None else np.flatnonzero(~segment.live)
