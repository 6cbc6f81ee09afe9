"""Survey vectors in one pass: their moments, their lengths, and a sample drawn by id."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedkit.data.arrays import Array, Float32
from embedkit.data.reservoir import Reservoir, keys_of
from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import DataError
from embedkit.transforms.moments import Moments
from embedkit.transforms.streaming import moments_of

if TYPE_CHECKING:
    import pyarrow as pa


class Norms(NamedTuple):
    """The lengths of vectors: mean, standard deviation (ddof 0), minimum, maximum, and number of zeros."""

    mean: float
    deviation: float
    least: float
    most: float
    zeros: int


class Survey(NamedTuple):
    """Moments and lengths of all vectors of a pass, and a sample of them in random order.

    The drawn rows depend on ids and the seed only, so that two sets with the same ids draw the same rows.
    """

    moments: Moments
    norms: Norms
    vectors: Float32  # (drawn, dim)
    ids: Array  # (drawn,)
    values: Array | None  # (drawn,): values of the requested field


def survey(batches: Iterable[Batch], size: int, *, seed: int = 0, field: str | None = None) -> Survey:
    """Read all batches, and keep a sample of `size` rows with their values of a field.

    Raises DataError when there is no row, for a row that is not finite, and for a missing field.
    """
    reservoir, lengths = Reservoir(size), _Lengths()

    def passing() -> Iterator[Float32]:
        """Yield all vectors, which are measured and sampled on the way."""
        for batch in batches:
            lengths.add(batch.vectors)
            ids = _objects(batch.table.column("id"))
            values = [] if field is None else [_objects(_column(batch.table, field))]
            reservoir.add(keys_of(ids.tolist(), seed=seed), batch.vectors, ids, *values)
            yield batch.vectors

    moments = moments_of(_some(passing()))
    vectors, ids, *values = reservoir.by_key()
    return Survey(moments, lengths.norms(), vectors, ids, values[0] if values else None)


class _Lengths:
    """Running sums of lengths; they are taken relative to the first length, to avoid cancellation."""

    def __init__(self) -> None:
        self._rows, self._zeros, self._sum, self._squares = 0, 0, 0.0, 0.0
        self._first, self._least, self._most = 0.0, math.inf, 0.0

    def add(self, block: Float32) -> None:
        """Add the lengths of the rows of a block, `(rows, dim)`."""
        if not len(block):
            return
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        self._first = self._first if self._rows else float(lengths[0])
        self._rows += len(lengths)
        self._zeros += int(np.sum(lengths == 0))
        moved = lengths - self._first
        self._sum, self._squares = self._sum + float(moved.sum()), self._squares + float(moved @ moved)
        self._least = min(self._least, float(lengths.min()))
        self._most = max(self._most, float(lengths.max()))

    def norms(self) -> Norms:
        """Return the mean, deviation and extremes of all lengths, and the number of zeros."""
        mean = self._sum / self._rows
        deviation = math.sqrt(max(0.0, self._squares / self._rows - mean**2))
        return Norms(self._first + mean, deviation, self._least, self._most, self._zeros)


def _some(blocks: Iterator[Float32]) -> Iterable[Float32]:
    first = next((block for block in blocks if len(block)), None)
    if first is None:
        raise DataError("the input contains no vector to measure")
    return chain([first], blocks)


def _column(table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        there = ", ".join(column for column in table.column_names if column not in ("id", "text"))
        raise DataError(f"the vectors have no field {name!r}", hint=f"fields: {there or 'none'}")
    return table.column(name)


def _objects(column: Any) -> Array:
    """Return the values of an Arrow column, including lists, as Python objects, `(rows,)`."""
    values = column.to_pylist()
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects
