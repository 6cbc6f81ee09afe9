"""Encoding of a corpus: as a stream of batches, or into an output that a later run can resume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

from embedkit.data.affine import AffineMap
from embedkit.data.atomic import refuse_existing
from embedkit.data.identity import Identity
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.data.vectors.slices import parse_part, part_of
from embedkit.data.vectors.vector_files import finish_output, ids_beside, is_file_output
from embedkit.data.vectors.vector_set import META, Batch, DType, VectorMeta, checked
from embedkit.data.vectors.vector_set_writing import VectorSetWriter, partial_folder
from embedkit.embedding.batching import WINDOW_ROWS, encode_records, windows
from embedkit.embedding.encoder import Encoder, unit_length
from embedkit.errors import DataError, MismatchError


def describe(encoder: Encoder, *, dtype: DType = "float32", with_text: bool = True) -> VectorMeta:
    """Return the metadata of the vectors that an encoder makes."""
    identity = encoder.identity
    return VectorMeta(identity.dimension, identity, dtype, with_text, getattr(encoder, "map", None))


def encode_batches(
    encoder: Encoder,
    records: Iterable[Record],
    *,
    first: int = WINDOW_ROWS,
    block: int | None = None,
    with_text: bool = True,
) -> Iterator[Batch]:
    """Encode records into batches, in order; `first` and `block` are passed to `batching.windows`.

    Raises DataError, naming the id, when the encoder returns NaN or infinity.
    """
    batches = (
        Batch(tables.to_table(window, with_text=with_text), vectors)
        for window, vectors in encode_records(encoder, records, first=first, block=block)
    )
    return checked(batches, encoder.identity.dimension)


def require_some(batches: Iterable[Batch], records: object, what: str = "the input") -> Iterator[Batch]:
    """Yield the batches; raises DataError at the end if there were none, naming the source of the records."""
    some = False
    for batch in batches:
        some = True
        yield batch
    if not some:
        raise DataError(f"{what} contains no text", where=getattr(records, "name", None))


def map_batches(
    meta: VectorMeta, batches: Iterable[Batch], transforms: Sequence[AffineMap], declared: Identity | None
) -> tuple[VectorMeta, Iterable[Batch]]:
    """Return the metadata and the batches of existing vectors after the maps are applied to them.

    `declared` names the encoder of vectors without an identity. Raises MismatchError when it contradicts the
    vectors' identity, or a map does not fit.
    """
    if declared is not None and meta.identity is not None:
        meta.identity.require_same_space(
            declared, where="`model`", mine="the input", others="the named model"
        )
    identity = meta.identity or declared
    if identity is not None and identity.dimension != meta.dimension:
        raise MismatchError(
            f"vectors have {meta.dimension} dimensions, {identity.model} gives {identity.dimension}"
        )
    if not transforms:
        return replace(meta, identity=identity), batches
    chain = reduce(AffineMap.then, transforms)
    identity, kept = chain.place(identity, meta.map)
    mapped = replace(meta.decoded(), dimension=chain.output_dimension, identity=identity, map=kept)
    return mapped, checked(_apply(chain, batches, unit=mapped.normalized), mapped.dimension)


def _apply(chain: AffineMap, batches: Iterable[Batch], *, unit: bool) -> Iterator[Batch]:
    for table, vectors in batches:
        mapped = chain.apply(vectors)
        yield Batch(table, unit_length(mapped) if unit else mapped)


def refuse_output(path: Path, *, resume: bool, force: bool) -> None:
    """Raise ExistsError or UsageError for an output that `encode_to` would refuse; loads nothing."""
    marker = None if is_file_output(path) else META
    force = force or (resume and partial_folder(path).exists())
    refuse_existing(path, force=force, marker=marker)
    if path.suffix == ".npy":
        refuse_existing(ids_beside(path), force=force)


def is_complete(path: Path) -> bool:
    """Return whether the output of `encode_to` exists, without an unfinished run that would replace it."""
    there = path.is_file() if is_file_output(path) else (path / META).is_file()
    return there and not partial_folder(path).exists()


def encode_to(
    path: str | Path,
    encoder: Encoder,
    records: Iterable[Record],
    *,
    dtype: DType = "float32",
    with_text: bool = True,
    resume: bool = False,
    force: bool = False,
    part: str | None = None,
    settings: dict[str, Any] | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Iterator[Batch]:
    """Encode records into `path` (a vector set, or one file by its extension), yielding each batch once it is
    written.

    The output is complete when the iterator ends. If the iterator is closed early, finished shards stay in
    `NAME.partial`, and `resume` continues from them to the same bytes; `settings` must then be the same.
    `part` ("2/4") takes only every fourth run of records, for `parts.merge` to join; a set of them may have
    no rows. Raises DataError when the input is empty or has changed, and ExistsError when the output already
    exists.
    """
    path = Path(path)
    refuse_output(path, resume=resume, force=force)
    meta = describe(encoder, dtype=dtype, with_text=with_text)
    source = records
    if part is not None:
        meta = replace(meta, part=part)
        records = part_of(records, *parse_part(part))
    with VectorSetWriter(
        path, meta, settings=settings, resume=resume, force=force, shard_rows=shard_rows
    ) as writer:
        rest = iter(records)
        writer.replay(map(tables.to_table, windows(islice(rest, writer.sealed_rows), block=shard_rows)))
        batches = encode_batches(encoder, rest, block=shard_rows)
        mergeable = part is not None and not is_file_output(path)  # such a set may have no rows
        if not (mergeable or writer.sealed):
            batches = require_some(batches, source, f"part {part}" if part else "the input")
        for batch in batches:
            writer.append(batch)
            yield batch
        finish_output(writer)
