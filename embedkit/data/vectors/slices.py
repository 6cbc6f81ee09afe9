"""Slices: several machines encode one slice each of a corpus; merged, the slices are the vector set of one
unsplit run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from embedkit.data.atomic import whole_folder
from embedkit.data.text.record import Record
from embedkit.data.vectors import schemas
from embedkit.data.vectors.meta import write_meta
from embedkit.data.vectors.shards import SHARD_ROWS, Shard, shard_name
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.errors import DataError, MismatchError, UsageError

_PART = re.compile(r"(\d+)/(\d+)")


def parse_part(text: str) -> tuple[int, int]:
    """Parse `2/4`, the second of four slices; raises UsageError for anything else."""
    found = _PART.fullmatch(text)
    number, parts = (int(group) for group in found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise UsageError(f"must be a slice like 2/4, the second of four, got {text!r}", where="`shard`")
    return number, parts


def part_of(records: Iterable[Record], number: int, parts: int) -> Iterator[Record]:
    """Yield the records of one slice: every `parts`-th block of SHARD_ROWS records, from the `number`-th on.

    A slice may be empty; raises DataError when there are no records at all.
    """
    place = -1
    for place, record in enumerate(records):
        if place // SHARD_ROWS % parts == number - 1:
            yield record
    if place < 0:
        raise DataError("the input contains no text", where=getattr(records, "name", None))


def rows_of_part(rows: int, number: int, parts: int) -> int:
    """Return how many of `rows` records `part_of` yields."""
    rounds, rest = divmod(rows, SHARD_ROWS * parts)
    return rounds * SHARD_ROWS + min(max(rest - (number - 1) * SHARD_ROWS, 0), SHARD_ROWS)


def merge(
    sets: Sequence[VectorSet], path: Path, on_batch: Callable[[int], None] = lambda rows: None
) -> VectorSet:
    """Copy the shards of several vector sets into one at `path`, which appears whole or not at all.

    The slices of one corpus (all of them, in any order) give the set of an unsplit run, byte for byte; other
    sets follow one another in the given order. `on_batch` is called with the rows of each shard. Raises
    MismatchError when encoders, dimensions or types differ, or a slice is missing.
    """
    _require_alike(sets)
    schemas.unify(one.schema for one in sets)  # warns about fields without a common type
    with whole_folder(path) as folder:
        shards = []
        for number, (source, shard) in enumerate(_in_order(sets)):
            file = shard_name(number)
            shutil.copyfile(source.path / shard.file, folder / file)
            shards.append(replace(shard, file=file))
            on_batch(shard.rows)
        has_text = all(one.meta.has_text for one in sets)
        write_meta(folder, replace(sets[0].meta, part=None, has_text=has_text), shards)
    return VectorSet.open(path)


def _in_order(sets: Sequence[VectorSet]) -> Iterator[tuple[VectorSet, Shard]]:
    if all(one.meta.part is None for one in sets):
        yield from ((one, shard) for one in sets for shard in one.shards)
        return
    numbers = {parse_part(one.meta.part)[0]: one for one in sets if one.meta.part is not None}
    totals = {parse_part(one.meta.part)[1] for one in sets if one.meta.part is not None}
    if len(totals) > 1 or len(numbers) != len(sets) or sorted(numbers) != list(range(1, max(totals) + 1)):
        named = ", ".join(one.meta.part or "a whole set" for one in sets)
        raise MismatchError(
            f"these are not the slices of one corpus: {named}", hint=f"name each of the {max(totals)} once"
        )
    ordered = [numbers[number] for number in sorted(numbers)]
    for row in zip_longest(*(one.shards for one in ordered)):
        yield from ((one, shard) for one, shard in zip(ordered, row, strict=True) if shard is not None)


def _require_alike(sets: Sequence[VectorSet]) -> None:
    first = sets[0]
    for other in sets[1:]:
        where = str(other.path)
        if first.meta.identity is not None and other.meta.identity is not None:
            other.meta.identity.require_same_space(
                first.meta.identity, where=where, mine="this set", others=str(first.path)
            )
        for what in ("dimension", "dtype"):
            mine, others = getattr(other.meta, what), getattr(first.meta, what)
            if mine != others:
                raise MismatchError(f"has {what} {mine}, {first.path} has {others}", where=where)
        if other.meta.ranges != first.meta.ranges:
            hint = "merge the vectors that they were made from, then make codes"
            raise MismatchError(f"has int8 codes of other ranges than {first.path}", where=where, hint=hint)
        if (first.meta.identity is None) != (other.meta.identity is None):
            raise MismatchError("one of the sets states its encoder, the other does not", where=where)
