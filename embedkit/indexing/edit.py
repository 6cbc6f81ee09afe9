"""Changes of an index: adding and deleting documents, and compacting segments into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from embedkit.data.vectors.arrow_arrays import strings
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import MismatchError
from embedkit.indexing.building import DEFAULT_LEXICAL, takes_codes, unit_batches
from embedkit.indexing.kind import Layout
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.tuned_weight import TunedWeight
from embedkit.indexing.manifest import write_manifest
from embedkit.indexing.operating_points import Tuning
from embedkit.indexing.segment import warn_of_mixed_fields
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.store import Index
from embedkit.indexing.writing import first_free_number, writing


class Added(NamedTuple):
    """The result of `add`: the new index, rows added, and how many replaced a row with the same id."""

    after: Index
    added: int
    replaced: int


class Deleted(NamedTuple):
    """The result of `delete`: the new index, rows deleted, and ids that the index did not contain."""

    after: Index
    deleted: int
    missing: tuple[str, ...]


def add(
    path: str | Path,
    meta: VectorMeta,
    batches: Iterable[Batch],
    *,
    coded: bool = False,
    number_from: Callable[[int], None] | None = None,
) -> Added:
    """Add all batches to an index as one segment; a document replaces an earlier one with the same id.

    With `coded` (see `adds_codes`) batches hold codes. `number_from` is called with the first free number
    before the first batch is read, while no one else writes: it numbers documents without ids, which replace
    nothing. Raises MismatchError unless the index's encoder made the vectors, DataError when there is nothing
    to add or an id occurs twice.
    """
    with writing(path) as writer:
        index = writer.index
        require_same_space(index, meta)
        if number_from is not None:
            number_from(first_free_number(index))
        unit = index.metric == "cosine" and not coded
        layout = Layout(index.dimension, index.metric, meta.codes if coded else None)
        scaled = unit_batches(batches, declared=meta.normalized) if unit else batches
        segment = write_segment(writer.folder, index.settings, scaled, layout, index.manifest.lexical)
        ids = segment.ids()
        found = [old.find(ids) for old in index.segments]
        kept = [writer.bury(old, rows) for old, rows in zip(index.segments, found, strict=True)]
        warn_of_mixed_fields([*kept, segment])
        return Added(writer.commit([*kept, segment]), segment.rows, sum(map(len, found)))


def require_same_space(index: Index, meta: VectorMeta) -> None:
    """Raise MismatchError, naming both sides, unless vectors may be added to an index."""
    where = str(index.path)
    if index.identity is not None and meta.identity is None:
        what = f"the index comes from {index.identity}, the input does not state its encoder"
        raise MismatchError(what, where=where, hint="name it as the `model`")
    if index.identity is not None and meta.identity is not None:
        index.identity.require_same_space(meta.identity, where=where, mine="the index", others="the input")
    if index.dimension != meta.dimension:
        what = f"the index has {index.dimension} columns, the input {meta.dimension}"
        raise MismatchError(what, where=where)


def adds_codes(index: Index, meta: VectorMeta) -> bool:
    """Return whether the codes of a set are added to an index directly, without floats."""
    keeps_none = getattr(index.settings, "rescore", "floats") is None
    return keeps_none and takes_codes(meta, index.kind, index.metric)


def delete(path: str | Path, ids: Sequence[str]) -> Deleted:
    """Delete documents by their ids; ids that the index does not contain are returned and change nothing."""
    with writing(path) as writer:
        index = writer.index
        wanted = strings(ids)
        found = [segment.find(wanted) for segment in index.segments]
        there = {
            document["id"]
            for segment, rows in zip(index.segments, found, strict=True)
            for document in segment.take(rows, ["id"])
        }
        missing = tuple(id for id in dict.fromkeys(ids) if id not in there)
        if there:
            kept = [writer.bury(old, rows) for old, rows in zip(index.segments, found, strict=True)]
            index = writer.commit(kept)
        return Deleted(index, len(there), missing)


def compact(path: str | Path, lexical: LexicalSettings | None = None) -> Index:
    """Merge all segments into one, without deleted rows, trained anew on the stored vectors.

    `lexical` sets how documents are searched by words from then on. By default this stays as it is; an index
    of an earlier version receives its lexical part.

    Kinds without stored floats, such as `int8:rescore=none`, decode their codes, which are then rounded once
    more. Raises FormatError, and changes nothing, when a file differs from what was written.
    """
    with writing(path) as writer:
        index = writer.index
        manifest = index.manifest
        if lexical is None:
            lexical = manifest.lexical or (None if manifest.without_lexical else DEFAULT_LEXICAL)
        same = lexical == manifest.lexical
        if len(index.segments) <= 1 and index.rows == index.stored_rows and same:
            return index
        index.verify()
        manifest = replace(manifest, tuning=None, lexical=lexical)  # measured before training anew
        if not same:
            manifest = replace(manifest, weight=None)  # tuned for other BM25 scores
        writer.index = replace(index, manifest=manifest)
        if not index.rows:
            return writer.commit([])
        batches = (batch for segment in index.segments for batch in segment.batches(index.dimension))
        layout = Layout(index.dimension, index.metric)
        return writer.commit([write_segment(writer.folder, index.settings, batches, layout, lexical)])


def keep_tuning(path: str | Path, tuning: Tuning, settings: Mapping[str, int] | None = None) -> Index:
    """Write operating points into an index's manifest, and with `settings` also its default search settings.

    Raises ExistsError while another process writes.
    """
    with writing(path) as writer:
        index = writer.index.tuned(**settings) if settings else writer.index
        changed = replace(index.manifest, tuning=tuning, generation=writer.generation)
        write_manifest(index.path, changed)
    return Index.open(path)


def keep_weight(path: str | Path, weight: TunedWeight | None) -> Index:
    """Write the weight of fused searches into an index's manifest; None restores the default.

    Raises ExistsError while another process writes.
    """
    with writing(path) as writer:
        changed = replace(writer.index.manifest, weight=weight, generation=writer.generation)
        write_manifest(writer.index.path, changed)
    return Index.open(path)
