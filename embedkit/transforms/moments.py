"""Moments of rows: the sums that fitting needs, merged exactly from the moments of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float64


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
        """Return the mean of x^2 per dimension, `(dim,)`."""
        return np.asarray(np.diag(self.co_moment) / self.rows + self.mean**2)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of these rows and others (Chan, Golub and LeVeque 1979, equation 2.1)."""
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        between = np.sqrt(self.rows * other.rows / rows) * apart
        co_moment = np.outer(between, between)
        co_moment += self.co_moment
        co_moment += other.co_moment
        return Moments(rows, self.mean + other.rows / rows * apart, co_moment)


@dataclass(frozen=True)
class FourthMoments(Moments):
    """Moments with the sums for Ledoit-Wolf shrinkage, over u = x - `shift`, any point near the mean."""

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
        """Return the moments of these rows and others, about the shift of these rows."""
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
        """Return the sums of y x^T, `(target_dim, dim)`, and |x|^2."""
        cross, squares = self.about_means
        means = np.outer(self.target_mean, self.mean)
        return cross + self.rows * means, squares + self.rows * float(self.mean @ self.mean)

    def merge(self, other: CrossMoments) -> CrossMoments:
        """Return the moments of these pairs and others."""
        rows = self.rows + other.rows
        apart, targets_apart = other.mean - self.mean, other.target_mean - self.target_mean
        share, between = other.rows / rows, self.rows * other.rows / rows
        (cross, squares), (other_cross, other_squares) = self.about_means, other.about_means
        return CrossMoments(
            rows,
            self.mean + share * apart,
            self.target_mean + share * targets_apart,
            (
                cross + other_cross + between * np.outer(targets_apart, apart),
                squares + other_squares + between * float(apart @ apart),
            ),
        )


class Centroid(NamedTuple):
    """The moments for a kind that needs no covariance: `rows`, `mean` `(dim,)` and the mean of |x|^2."""

    rows: int
    mean: Float64
    mean_square: float

    def merge(self, other: Centroid) -> Centroid:
        """Return the centroid of these rows and others."""
        rows = self.rows + other.rows
        share = other.rows / rows
        mean = self.mean + share * (other.mean - self.mean)
        return Centroid(rows, mean, self.mean_square + share * (other.mean_square - self.mean_square))
