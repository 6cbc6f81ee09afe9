"""Draw a uniform sample of streamed rows without replacement; memory holds the sample only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array, Float32


class Sample(NamedTuple):
    """The drawn rows, `(drawn, dim)`, in random order, and the number of rows that they were drawn from."""

    vectors: Float32
    rows: int


class Reservoir:
    """The `size` rows with the smallest keys among all added rows; of equal keys, the earlier row is kept.

    With random keys this is a uniform sample (Vitter 1985 needs fewer random numbers, but a loop).
    """

    def __init__(self, size: int) -> None:
        self.size, self.rows = size, 0  # rows added so far
        self._kept = 0
        self._columns: list[Array] = []  # keys, row numbers, and the columns given; `_kept` rows or more

    def add(self, keys: Array, *columns: Array) -> None:
        """Add rows, given as one key per row and the columns to keep, arrays of the same length."""
        block = [keys, np.arange(self.rows, self.rows + len(keys)), *columns]
        self.rows += len(keys)
        free = min(self.size - self._kept, len(keys))
        if free or not self._columns:
            self._fill([column[:free] for column in block])
        if free < len(keys) and self.size:
            self._replace([column[free:] for column in block])

    def by_key(self) -> list[Array]:
        """Return the columns of the kept rows in the order of their keys; an empty list if no block came."""
        if not self._columns:
            return []
        keys, numbers = (column[: self._kept] for column in self._columns[:2])
        return self._ordered(np.lexsort((numbers, keys)))

    def by_row(self) -> tuple[NDArray[np.int64], list[Array]]:
        """Return the numbers of the kept rows in ascending order, and their columns in the same order."""
        if not self._columns:
            return np.zeros(0, np.int64), []
        order = np.argsort(self._columns[1][: self._kept])
        return self._columns[1][order], self._ordered(order)

    def _ordered(self, order: Array) -> list[Array]:
        return [column[order] for column in self._columns[2:]]

    def _fill(self, block: list[Array]) -> None:
        """Append rows; the room for them is doubled as needed, up to `size` rows."""
        end = self._kept + len(block[0])
        if not self._columns:
            self._columns = [np.empty((0, *column.shape[1:]), column.dtype) for column in block]
        if end > len(self._columns[0]):
            room = min(self.size, max(end, 2 * self._kept))
            self._columns = [_enlarged(column, self._kept, room) for column in self._columns]
        for kept, column in zip(self._columns, block, strict=True):
            kept[self._kept : end] = column
        self._kept = end

    def _replace(self, block: list[Array]) -> None:
        """Put those rows of a block that have smaller keys in the place of the rows with the largest."""
        near = np.flatnonzero(block[0] < self._columns[0].max())
        keys, numbers = (np.concatenate([self._columns[n], block[n][near]]) for n in (0, 1))
        last = np.partition(keys, self.size - 1)[self.size - 1]
        stays = keys < last
        tied = np.flatnonzero(keys == last)
        stays[tied[np.argsort(numbers[tied])][: self.size - np.count_nonzero(stays)]] = True
        places, came = np.flatnonzero(~stays[: self.size]), near[stays[self.size :]]
        for kept, column in zip(self._columns, block, strict=True):
            kept[places] = column[came]


def _enlarged(column: Array, kept: int, room: int) -> Array:
    enlarged = np.empty((room, *column.shape[1:]), column.dtype)
    enlarged[:kept] = column[:kept]
    return enlarged


def draw(blocks: Iterable[Float32], size: int, *, seed: int) -> Sample:
    """Draw `size` rows, or all if there are fewer, from blocks `(rows, dim)`.

    Each row gets a random number; the rows with the smallest numbers are kept. The sample does not depend on
    how rows are cut into blocks.
    """
    chance, reservoir = np.random.default_rng(seed), Reservoir(size)
    for block in blocks:
        reservoir.add(chance.random(len(block)), block)
    columns = reservoir.by_key()
    return Sample(columns[0] if columns else np.empty((0, 0), dtype=np.float32), reservoir.rows)


def keys_of(ids: Sequence[str], *, seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random number per id, so that two sets that share ids draw the same rows.

    This is bottom-k sampling (Broder 1997; Cohen and Kaplan 2007).
    """
    salt = str(seed).encode()[-64:]
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=salt).digest() for name in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
