"""A sample of rows that stream by: uniform, without repeats, in the memory of the sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Sample(NamedTuple):
    """Rows drawn, `(drawn, dim)`, in an order left to chance, and how many there were to draw from."""

    vectors: Float32
    rows: int


def draw(blocks: Iterable[Float32], size: int, *, seed: int) -> Sample:
    """Draw `size` rows, or all where there are fewer, from blocks `(rows, dim)`.

    Each row gets a random number, the smallest are kept (Vitter 1985 calls for less chance, and a loop). The
    sample does not depend on how rows are cut into blocks.
    """
    chance = np.random.default_rng(seed)
    keys, kept, rows = np.empty(0), None, 0
    for block in blocks:
        rows += len(block)
        drawn = chance.random(len(block))
        near = drawn < (keys.max() if len(keys) == size else 1.0)
        keys = np.concatenate([keys, drawn[near]])
        kept = block[near].copy() if kept is None else np.concatenate([kept, block[near]])
        smallest = np.argsort(keys, kind="stable")[:size]
        keys, kept = keys[smallest], kept[smallest]
    return Sample(np.empty((0, 0), dtype=np.float32) if kept is None else kept, rows)
