"""What a kind is trained on: a random sample of all rows, drawn while they are spooled to disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embedkit.indexing.kind import Blocks, Floats, Rows
from embedkit.indexing.rescoring import read_rows, write_rows

SAMPLE_ROWS = 65536
SPOOL = "spool.npy"


def sampled(
    blocks: Blocks, folder: Path, seed: int, size: int = SAMPLE_ROWS
) -> tuple[Floats, Iterator[Floats]]:
    """Return `size` rows drawn from all, in their order, or all when there are fewer; and all rows again, in
    blocks, from a file in `folder` that is gone when they have ended.
    """
    kept, _ = draw(write_rows(folder / SPOOL, blocks, "float32"), seed, size)
    return kept, _spooled(folder / SPOOL)


def draw(blocks: Blocks, seed: int, size: int) -> tuple[Floats, Rows]:
    """Return `size` rows drawn from all `(size, dimension)` and their numbers, in order; all rows when there
    are fewer. They are in memory twice while they are put in order.

    Rows are drawn by the smallest of random keys, one a row, so that the sample does not depend on blocks.
    """
    chance = np.random.default_rng(seed)
    kept, keys, numbers = np.empty((0, 0), np.float32), np.full(size, np.inf), np.zeros(size, np.int64)
    seen = 0
    for block in blocks:
        if not seen:
            kept = np.empty((size, block.shape[1]), np.float32)
        fresh = chance.random(len(block))
        better = np.flatnonzero(fresh < keys.max())
        chosen = np.argpartition(np.concatenate([keys, fresh[better]]), size - 1)[:size]
        came = better[chosen[chosen >= size] - size]
        places = np.setdiff1d(np.arange(size), chosen)
        kept[places], keys[places], numbers[places] = block[came], fresh[came], came + seen
        seen += len(block)
    order = np.argsort(np.where(keys < np.inf, numbers, seen), kind="stable")[: min(size, seen)]
    return kept[order], numbers[order]


def _spooled(file: Path) -> Iterator[Floats]:
    yield from read_rows(file)
    file.unlink()
