"""The training sample of a kind: random rows, drawn while all rows are spooled to disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embedkit.data.reservoir import Reservoir
from embedkit.indexing.kind import Blocks, Floats, Rows
from embedkit.indexing.rescoring import read_rows, write_rows

SAMPLE_ROWS = 65536
ROWS_A_LIST = 39  # minimum sampled rows per list, which k-means in FAISS requires
SPOOL = "spool.npy"


def sampled(
    blocks: Blocks, folder: Path, seed: int, size: int = SAMPLE_ROWS
) -> tuple[Floats, Iterator[Floats]]:
    """Return `size` rows drawn from all, in row order, or all rows if there are fewer; and an iterator over
    all rows.

    The iterator yields blocks from a file in `folder`, which is deleted after the last block.
    """
    kept, _ = draw(write_rows(folder / SPOOL, blocks, "float32"), seed, size)
    return kept, _spooled(folder / SPOOL)


def draw(blocks: Blocks, seed: int, size: int) -> tuple[Floats, Rows]:
    """Return `size` rows drawn from all, `(size, dimension)`, and their numbers, in row order; all rows if
    there are fewer. They are in memory twice while they are sorted.

    Rows with the smallest random keys, one key per row, are drawn, so that the sample does not depend on the
    blocks.
    """
    reservoir = Reservoir(size)
    for _ in drawing(blocks, seed, reservoir):
        pass
    return drawn(reservoir)


def drawing(blocks: Blocks, seed: int, reservoir: Reservoir) -> Iterator[Floats]:
    """Yield the blocks while the reservoir draws rows from them."""
    chance = np.random.default_rng(seed)
    for block in blocks:
        reservoir.add(chance.random(len(block)), block)
        yield block


def drawn(reservoir: Reservoir) -> tuple[Floats, Rows]:
    """Return the rows that a reservoir has drawn, `(size, dimension)`, and their numbers, in row order."""
    numbers, columns = reservoir.by_row()
    return columns[0] if columns else np.empty((0, 0), np.float32), numbers


def _spooled(file: Path) -> Iterator[Floats]:
    yield from read_rows(file)
    file.unlink()
