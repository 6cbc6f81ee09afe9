"""What a kind is trained on: a random sample of all rows, drawn while they are spooled to disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embedkit.indexing.kind import Blocks, Floats
from embedkit.indexing.rescoring import read_rows, write_rows

SAMPLE_ROWS = 65536
SPOOL = "spool.npy"


def sampled(
    blocks: Blocks, folder: Path, seed: int, size: int = SAMPLE_ROWS
) -> tuple[Floats, Iterator[Floats]]:
    """Return `size` rows drawn from all, in their order, or all when there are fewer; and all rows again, in
    blocks, from a file in `folder` that is gone when they have ended.

    Rows are drawn by the smallest of random keys, one a row, so that the sample does not depend on blocks.
    """
    chance = np.random.default_rng(seed)
    kept, keys = np.empty((0, 0), np.float32), np.empty(0)
    for block in write_rows(folder / SPOOL, blocks, "float32"):
        rows = np.asarray(block, dtype=np.float32)
        kept = np.concatenate([kept.reshape(len(kept), rows.shape[1]), rows])
        keys = np.concatenate([keys, chance.random(len(rows))])
        if len(kept) > size:
            best = np.sort(np.argpartition(keys, size)[:size])
            kept, keys = kept[best], keys[best]
    return kept, _spooled(folder / SPOOL)


def _spooled(file: Path) -> Iterator[Floats]:
    yield from read_rows(file)
    file.unlink()
