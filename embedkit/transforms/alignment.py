"""Alignment: two streams of vectors paired row by row, each pair from one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import MismatchError
from embedkit.transforms.streaming import Pair

HINT = "both must contain the same texts in the same order"


def aligned(batches: Iterable[Batch], target: Iterable[Batch]) -> Iterator[Pair]:
    """Yield the vectors of both, paired row by row, for any division into batches.

    Raises MismatchError naming the first row whose ids differ, or the number of rows on each side.
    """
    ours, theirs, row = _Stream(batches), _Stream(target), 0
    while count := min(ours.ready, theirs.ready):
        one, other = ours.take(count), theirs.take(count)
        _require_same_ids(one.table, other.table, before=row)
        yield one.vectors, other.vectors
        row += count
    if ours.ready or theirs.ready:
        counts = f"the input has {row + ours.drain()} rows, the target {row + theirs.drain()}"
        raise MismatchError(counts, hint=HINT)


class _Stream:
    """A stream of batches from which any number of rows can be taken."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._batch: Batch | None = None

    @property
    def ready(self) -> int:
        """Return the number of rows that can be taken at once; 0 only at the end."""
        while self._batch is None or not len(self._batch.vectors):
            self._batch = next(self._batches, None)
            if self._batch is None:
                return 0
        return len(self._batch.vectors)

    def take(self, count: int) -> Batch:
        """Return the next `count` rows, which must be ready."""
        assert self._batch is not None
        table, vectors = self._batch
        self._batch = Batch(table.slice(count), vectors[count:])
        return Batch(table.slice(0, count), vectors[:count])

    def drain(self) -> int:
        """Take all remaining rows and return their number."""
        rows = 0
        while count := self.ready:
            rows += len(self.take(count).vectors)
        return rows


def _require_same_ids(one: Any, other: Any, *, before: int) -> None:
    ids, others = (np.array(table.column("id").to_pylist(), dtype=object) for table in (one, other))
    if (same := ids == others).all():
        return
    first = int(np.argmin(same))
    raise MismatchError(
        f"the id is {ids[first]!r} in the input, {others[first]!r} in the target",
        where=f"row {before + first + 1}",
        hint=HINT,
    )
