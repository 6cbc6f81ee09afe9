"""Streaming moments: what fitting needs to know of any number of rows, in the memory of one block.

Everything is summed in float64. Products in float32 would be faster, but their rounding (1e-7 of the largest
variance) buries the small variances that whitening divides by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import DataError, MismatchError

Rows = Iterable[NDArray[np.float32]]
Float64 = NDArray[np.float64]

BLOCK_ROWS = 4096  # rows summed at a time, however they arrive: other chunks give the same bits


@dataclass(frozen=True)
class Moments:
    """Sums over rows x, with c = x - mean; the last two are what Ledoit-Wolf shrinkage needs."""

    rows: int
    mean: Float64  # (dim,)
    co_moment: Float64  # (dim, dim): sum of c c^T
    third: Float64  # (dim,): sum of |c|^2 c
    fourth: float  # sum of |c|^4

    @classmethod
    def of(cls, block: Float64) -> Moments:
        """Return the moments of one block, `(rows, dim)` with at least one row."""
        mean = block.mean(axis=0)
        centred = block - mean
        squares = np.einsum("ij,ij->i", centred, centred)  # |c|^2
        return cls(len(block), mean, centred.T @ centred, squares @ centred, float(squares @ squares))

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both together, exactly (Chan, Golub and LeVeque 1983, section 2)."""
        rows = self.rows + other.rows
        mean = self.mean + (other.mean - self.mean) * (other.rows / rows)
        (M1, t1, f1), (M2, t2, f2) = self.about(mean), other.about(mean)
        return Moments(rows, mean, M1 + M2, t1 + t2, f1 + f2)

    def about(self, centre: Float64) -> tuple[Float64, Float64, float]:
        """Return `co_moment`, `third` and `fourth` with `centre` in place of the mean."""
        e, n, M = self.mean - centre, self.rows, self.co_moment  # x - centre = c + e, and the c sum to zero
        E, trace = float(e @ e), float(np.trace(M))
        third = self.third + trace * e + 2 * (M @ e) + n * E * e
        fourth = self.fourth + 4 * float(self.third @ e) + 4 * float(e @ M @ e) + 2 * E * trace + n * E * E
        return M + n * np.outer(e, e), third, fourth

    @property
    def mean_squares(self) -> Float64:
        """The mean of x^2 in each column, `(dim,)`."""
        return np.asarray(np.diag(self.co_moment) / self.rows + self.mean**2)


class Centroid(NamedTuple):
    """What a kind that needs no covariance asks for: `rows`, `mean` `(dim,)` and the mean of |x|^2."""

    rows: int
    mean: Float64
    mean_square: float


def moments_of(rows: Rows) -> Moments:
    """Return the moments of all rows, which come in blocks `(rows, dim)` of any size.

    Raises DataError when there are none or one is not finite, MismatchError when widths differ.
    """
    total: Moments | None = None
    for block in _blocks(rows):
        total = Moments.of(block) if total is None else total.merge(Moments.of(block))
    if total is None:
        raise DataError("there are no vectors to fit a map on")
    return total


def centroid_of(rows: Rows) -> Centroid:
    """Return rows, mean and mean squared length; raises what `moments_of` does."""
    count, total, squares = 0, np.zeros(()), 0.0
    for block in _blocks(rows):
        count += len(block)
        total = total + block.sum(axis=0)
        squares += float(np.einsum("ij,ij->", block, block))
    if not count:
        raise DataError("there are no vectors to fit a map on")
    return Centroid(count, total / count, squares / count)


def width_of(rows: Rows) -> int:
    """Return the columns of the first block, for kinds that look at nothing else."""
    first = next(iter(rows), None)
    if first is None:
        raise DataError("there are no vectors to fit a map on")
    return int(first.shape[1])


def _blocks(rows: Rows) -> Iterator[Float64]:
    """Yield all rows in blocks of BLOCK_ROWS, `(BLOCK_ROWS, dim)`; the next block overwrites the last one."""
    before = filled = 0
    buffer: Float64 | None = None
    for chunk in rows:
        buffer = np.empty((BLOCK_ROWS, chunk.shape[1])) if buffer is None else buffer
        if chunk.shape[1] != buffer.shape[1]:
            raise MismatchError(f"vectors have {chunk.shape[1]} columns, those before {buffer.shape[1]}")
        while len(chunk):
            taken = chunk[: BLOCK_ROWS - filled]
            buffer[filled : filled + len(taken)] = taken
            filled, chunk = filled + len(taken), chunk[len(taken) :]
            if filled == BLOCK_ROWS:
                yield _finite(buffer, before)
                before, filled = before + filled, 0
    if buffer is not None and filled:
        yield _finite(buffer[:filled], before)


def _finite(block: Float64, before: int) -> Float64:
    if not np.isfinite(block.sum()):  # float32 numbers, however large, do not overflow a sum in float64
        row = before + int(np.argmin(np.isfinite(block).all(axis=1))) + 1
        raise DataError("the vector is not finite", where=f"row {row}")
    return block
