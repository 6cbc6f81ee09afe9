"""Streaming moments: what fitting needs to know of any number of rows, in the memory of one block.

Everything is summed in float64. Products in float32 would be faster, but their rounding (1e-7 of the largest
variance) buries the small variances that whitening divides by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import DataError, MismatchError

Rows = Iterable[NDArray[np.float32]]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
Pairs = Iterable[Pair]
Float64 = NDArray[np.float64]

Running = TypeVar("Running")
Sums = TypeVar("Sums")

BLOCK_ROWS = 1024  # rows summed at a time, however they arrive: other chunks give the same bits


@runtime_checkable
class Scattered(Protocol):
    """Rows that lie in parts elsewhere, and are summed where they lie."""

    def summed(self, sums_of: Callable[[Rows], Sums], merge: Callable[[Sums, Sums], Sums]) -> Sums:
        """Return the merged sums of all parts."""


@dataclass(frozen=True)
class Moments:
    """Sums over rows x, with c = x - mean."""

    rows: int
    mean: Float64  # (dim,)
    co_moment: Float64  # (dim, dim): sum of c c^T

    def about(self, centre: Float64) -> Float64:
        """Return `co_moment` with `centre` in place of the mean."""
        e = self.mean - centre  # x - centre = c + e, and the c sum to zero
        return self.co_moment + self.rows * np.outer(e, e)

    @property
    def mean_squares(self) -> Float64:
        """The mean of x^2 in each column, `(dim,)`."""
        return np.asarray(np.diag(self.co_moment) / self.rows + self.mean**2)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of these rows and others (Chan, Golub and LeVeque 1979, equation 2.1)."""
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        between = self.rows * other.rows / rows * np.outer(apart, apart)
        mean = self.mean + other.rows / rows * apart
        return Moments(rows, mean, self.co_moment + other.co_moment + between)


@dataclass(frozen=True)
class FourthMoments(Moments):
    """What Ledoit-Wolf shrinkage needs besides: sums over u = x - `shift`, any point near the mean."""

    shift: Float64  # (dim,)
    third: Float64  # (dim,): sum of |u|^2 u
    fourth: float  # sum of |u|^4

    def fourth_about(self, centre: Float64) -> float:
        """Return the sum of |x - centre|^4."""
        d, n = centre - self.shift, self.rows  # x - centre = u - d
        total, M = n * (self.mean - self.shift), self.about(self.shift)
        D, squares, along = float(d @ d), float(np.trace(M)), float(d @ total)
        quadratic = 4 * float(d @ M @ d) + 2 * D * squares
        return self.fourth - 4 * float(self.third @ d) + quadratic - 4 * D * along + n * D * D

    def third_about(self, centre: Float64) -> Float64:
        """Return the sum of |x - centre|^2 (x - centre), `(dim,)`."""
        d, n = self.shift - centre, self.rows  # x - centre = u + d
        total, M = n * (self.mean - self.shift), self.about(self.shift)
        D, squares = float(d @ d), float(np.trace(M))
        along = 2 * M @ d + 2 * float(total @ d) * d
        return np.asarray(self.third + along + squares * d + D * total + n * D * d)

    def merge(self, other: Moments) -> FourthMoments:
        """Return the moments of these rows and others, those of them brought to the shift of these."""
        assert isinstance(other, FourthMoments)
        both = super().merge(other)
        third = self.third + other.third_about(self.shift)
        fourth = self.fourth + other.fourth_about(self.shift)
        return FourthMoments(both.rows, both.mean, both.co_moment, self.shift, third, fourth)


class CrossMoments(NamedTuple):
    """Sums over rows x and their targets y; `mean` `(dim,)`, `target_mean` `(target_dim,)`."""

    rows: int
    mean: Float64
    target_mean: Float64
    about_means: tuple[Float64, float]  # the sums of (y - its mean)(x - its mean)^T and |x - its mean|^2

    @property
    def about_zero(self) -> tuple[Float64, float]:
        """The sums of y x^T, `(target_dim, dim)`, and |x|^2."""
        cross, squares = self.about_means
        means = np.outer(self.target_mean, self.mean)
        return cross + self.rows * means, squares + self.rows * float(self.mean @ self.mean)


class Centroid(NamedTuple):
    """What a kind that needs no covariance asks for: `rows`, `mean` `(dim,)` and the mean of |x|^2."""

    rows: int
    mean: Float64
    mean_square: float

    def merge(self, other: Centroid) -> Centroid:
        """Return what it is of these rows and others."""
        rows = self.rows + other.rows
        share = other.rows / rows
        mean = self.mean + share * (other.mean - self.mean)
        return Centroid(rows, mean, self.mean_square + share * (other.mean_square - self.mean_square))


def moments_of(rows: Rows) -> Moments:
    """Return the moments of all rows, which come in blocks `(rows, dim)` of any size.

    Raises DataError when there are none or one is not finite, MismatchError when widths differ.
    """
    if isinstance(rows, Scattered):
        return rows.summed(moments_of, Moments.merge)
    running: _Running | None = None
    for block in blocks_of(rows):
        running = running or _Running(block)
        running.add(block)
    return _some(running).moments()


def fourth_moments_of(rows: Rows) -> FourthMoments:
    """Return the moments of all rows and what Ledoit-Wolf needs; raises what `moments_of` does."""
    if isinstance(rows, Scattered):
        return rows.summed(fourth_moments_of, FourthMoments.merge)
    running: _Running | None = None
    third, fourth = np.zeros(()), 0.0
    for block in blocks_of(rows):
        if running is None:
            running = _Running(block)
            shift = running.mean
        running.add(block)
        u = block - shift
        squares = np.einsum("ij,ij->i", u, u)  # |u|^2
        third, fourth = third + squares @ u, fourth + float(squares @ squares)
    found = _some(running).moments()
    return FourthMoments(found.rows, found.mean, found.co_moment, shift, third, fourth)


def cross_moments_of(pairs: Pairs) -> CrossMoments:
    """Return the moments of rows with their targets, which come in blocks; raises what `moments_of` does."""
    one, other = tee(pairs)
    blocks = zip(blocks_of(x for x, _ in one), blocks_of(y for _, y in other), strict=True)
    x_side: Centring | None = None
    for x, y in blocks:
        if x_side is None:
            x_side, y_side = Centring(x), Centring(y, what="target row")
            cross, squares = np.zeros((y.shape[1], x.shape[1])), 0.0
        (u, step), (v, target_step) = x_side.add(x), y_side.add(y)
        cross += v.T @ u - x_side.rows * np.outer(target_step, step)
        squares += float(np.einsum("ij,ij->", u, u)) - x_side.rows * float(step @ step)
    x_side = _some(x_side)
    return CrossMoments(x_side.rows, x_side.mean, y_side.mean, (cross, squares))


def centroid_of(rows: Rows) -> Centroid:
    """Return rows, mean and mean squared length; raises what `moments_of` does."""
    if isinstance(rows, Scattered):
        return rows.summed(centroid_of, Centroid.merge)
    count, total, squares = 0, np.zeros(()), 0.0
    for block in blocks_of(rows):
        exact = block.astype(np.float64)
        with np.errstate(invalid="ignore"):  # of infinities of both signs
            total = total + require_finite(exact.sum(axis=0), block, before=count)
        squares += float(np.einsum("ij,ij->", exact, exact))
        count += len(block)
    if not count:
        raise DataError("there are no vectors to fit a map on")
    return Centroid(count, total / count, squares / count)


def width_of(rows: Rows) -> int:
    """Return the columns of the first block, for kinds that look at nothing else."""
    first = next(iter(rows), None)
    if first is None:
        raise DataError("there are no vectors to fit a map on")
    return int(first.shape[1])


class Centring:
    """A running mean, and one block at a time as float64 less the mean of all rows before it.

    With u the block so centred and `step` what the mean moves by, sums of products about the mean go on as
    M + u^T u - rows step step^T: nothing cancels, wherever the rows lie (Welford 1962, a block at a time).
    """

    def __init__(self, first: NDArray[np.float32], *, what: str = "row") -> None:
        self.rows, self._what = 0, what
        with np.errstate(invalid="ignore"):  # infinity shows when the block is added
            self.mean: Float64 = first.mean(axis=0, dtype=np.float64)
        self._buffer = np.empty((BLOCK_ROWS, first.shape[1]))

    def add(self, block: NDArray[np.float32]) -> tuple[Float64, Float64]:
        """Return u `(rows, dim)`, which the next block overwrites, and the step of the mean `(dim,)`."""
        u: Float64 = self._buffer[: len(block)]
        u[:] = block
        with np.errstate(invalid="ignore"):
            u -= self.mean
            total = require_finite(u.sum(axis=0), block, before=self.rows, what=self._what)
        self.rows += len(block)
        step = total / self.rows
        self.mean = self.mean + step
        return u, step


class _Running:
    """Moments of the blocks so far; of the co-moment, BLAS keeps one triangle."""

    def __init__(self, first: NDArray[np.float32]) -> None:
        self._centring = Centring(first)
        self._triangle: Any = np.zeros((first.shape[1], first.shape[1]), order="F")

    @property
    def mean(self) -> Float64:
        return self._centring.mean

    def add(self, block: NDArray[np.float32]) -> None:
        from scipy.linalg.blas import dsyr, dsyrk

        u, step = self._centring.add(block)
        self._triangle = dsyrk(1.0, u.T, beta=1.0, c=self._triangle, overwrite_c=True)
        self._triangle = dsyr(-float(self._centring.rows), step, a=self._triangle, overwrite_a=True)

    def moments(self) -> Moments:
        upper: Float64 = np.triu(self._triangle)
        return Moments(self._centring.rows, self.mean, upper + np.triu(upper, 1).T)


def blocks_of(rows: Rows) -> Iterator[NDArray[np.float32]]:
    """Yield all rows in blocks of BLOCK_ROWS, `(BLOCK_ROWS, dim)`, the last one shorter.

    Blocks are views of what comes in, or, across its borders, copies in float64 that the next one overwrites.
    """
    buffer: Float64 | None = None
    filled = 0
    for chunk in rows:
        buffer = np.empty((BLOCK_ROWS, chunk.shape[1])) if buffer is None else buffer
        if chunk.shape[1] != buffer.shape[1]:
            raise MismatchError(f"vectors have {chunk.shape[1]} columns, those before {buffer.shape[1]}")
        while len(chunk):
            taken, chunk = chunk[: BLOCK_ROWS - filled], chunk[BLOCK_ROWS - filled :]
            if len(taken) == BLOCK_ROWS:
                yield taken
                continue
            buffer[filled : filled + len(taken)] = taken
            filled = (filled + len(taken)) % BLOCK_ROWS
            if not filled:
                yield buffer  # type: ignore[misc]  # exact: float32 numbers are float64 numbers
    if buffer is not None and filled:
        yield buffer[:filled]  # type: ignore[misc]


def require_finite(total: Float64, block: NDArray[np.float32], *, before: int, what: str = "row") -> Float64:
    """Pass on the sum of a block's rows, where NaN and infinity show; raises DataError naming the row."""
    if not np.isfinite(total).all():  # float32 numbers, however large, do not overflow a sum in float64
        row = before + int(np.argmin(np.isfinite(block).all(axis=1))) + 1
        raise DataError("the vector is not finite", where=f"{what} {row}")
    return total


def _some(running: Running | None) -> Running:
    if running is None:
        raise DataError("there are no vectors to fit a map on")
    return running
