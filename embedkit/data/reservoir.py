"""Draw a uniform sample of streamed rows without replacement; memory holds the sample only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32


class Sample(NamedTuple):
    """The drawn rows, `(drawn, dim)`, in random order, and the number of rows that they were drawn from."""

    vectors: Float32
    rows: int


class Reservoir:
    """The `size` rows with the smallest keys among all added rows, in the order of their keys.

    With random keys this is a uniform sample (Vitter 1985 needs fewer random numbers, but a loop).
    """

    def __init__(self, size: int) -> None:
        self.size, self.rows = size, 0
        self._keys: NDArray[Any] | None = None
        self._columns: list[NDArray[Any]] = []

    def add(self, keys: NDArray[Any], *columns: NDArray[Any]) -> None:
        """Add rows, given as one key per row and the columns to keep, arrays of the same length."""
        self.rows += len(keys)
        if self._keys is None:
            self._keys, self._columns = keys[:0], [column[:0] for column in columns]
        full = len(self._keys) == self.size
        near = keys < self._keys[-1] if full else np.ones(len(keys), dtype=bool)
        keys = np.concatenate([self._keys, keys[near]])
        smallest = np.argsort(keys, kind="stable")[: self.size]
        self._keys = keys[smallest]
        pairs = zip(self._columns, columns, strict=True)
        self._columns = [np.concatenate([kept, column[near]])[smallest] for kept, column in pairs]

    @property
    def columns(self) -> list[NDArray[Any]]:
        """The kept columns; an empty list when no rows were added."""
        return self._columns


def draw(blocks: Iterable[Float32], size: int, *, seed: int) -> Sample:
    """Draw `size` rows, or all if there are fewer, from blocks `(rows, dim)`.

    Each row gets a random number; the rows with the smallest numbers are kept. The sample does not depend on
    how rows are cut into blocks.
    """
    chance, reservoir = np.random.default_rng(seed), Reservoir(size)
    for block in blocks:
        reservoir.add(chance.random(len(block)), block)
    vectors = reservoir.columns[0] if reservoir.columns else np.empty((0, 0), dtype=np.float32)
    return Sample(vectors, reservoir.rows)


def keys_of(ids: Sequence[str], *, seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random number per id, so that two sets that share ids draw the same rows.

    This is bottom-k sampling (Broder 1997; Cohen and Kaplan 2007).
    """
    salt = str(seed).encode()[-64:]
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=salt).digest() for name in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
