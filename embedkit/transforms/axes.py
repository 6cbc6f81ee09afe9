"""Principal axes: the covariance, shrunk if requested, its eigenvectors, and the rank of the data."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.errors import DataError, MismatchError
from embedkit.transforms.moments import FourthMoments, Moments

TOLERANCE = 1e-10  # share of the largest variance; an axis below it is noise
Shrinkage = float | Literal["ledoit-wolf"] | None
Target = Literal["identity", "diagonal"]


class Axes(NamedTuple):
    """Unit directions `(rank, dim)`, the largest variance first, and their variances `(rank,)`."""

    directions: Float64
    variances: Float64
    rows: int  # number of rows in the covariance

    @property
    def rank(self) -> int:
        """Return the number of axes whose variance exceeds noise."""
        return len(self.variances)

    def first(self, count: int | None, *, what: str) -> Axes:
        """Return the first `count` axes (None: all); raises MismatchError for the kind `what` when `count`
        exceeds the rank.
        """
        found = f"the data have rank {self.rank} ({self.rows} rows, {self.directions.shape[1]} dimensions)"
        if count is not None and count > self.rank:
            raise MismatchError(f"{what} needs {count} dimensions, but {found}")
        if self.rank == 0:
            raise DataError(f"{what} needs rows that differ, but {found}")
        return Axes(self.directions[:count], self.variances[:count], self.rows)


def principal_axes(
    moments: Moments,
    *,
    beta: float = 1.0,
    shrinkage: Shrinkage = None,
    target: Target = "identity",
    tolerance: float = TOLERANCE,
) -> Axes:
    """Return the axes of the covariance (ddof 1) about `beta` times the mean.

    An axis counts when its variance exceeds both `tolerance` times the largest variance and the variance that
    rounding to float32 can give to a constant. Each direction's largest component is positive. `ledoit-wolf`
    needs FourthMoments. Raises DataError for a single row.
    """
    if moments.rows < 2:
        raise DataError("a covariance needs at least 2 rows, got 1")
    centre = beta * moments.mean
    sums, strength = moments.about(centre), shrinkage or 0.0
    if isinstance(strength, str):
        assert isinstance(moments, FourthMoments)
        strength = ledoit_wolf(sums, moments.fourth_about(centre), moments.rows)
    covariance = shrunk(sums / (moments.rows - 1), strength, target)
    variances, vectors = np.linalg.eigh(covariance)  # ascending
    variances, directions = variances[::-1], vectors.T[::-1]
    rounding = float(np.finfo(np.float32).eps) ** 2 * float(moments.mean_squares.max())
    rank = int(np.sum(variances > max(tolerance * float(variances[0]), rounding)))
    largest = np.abs(directions[:rank]).argmax(axis=1)
    signs = np.sign(directions[np.arange(rank), largest])
    return Axes(directions[:rank] * signs[:, None], variances[:rank], moments.rows)


def shrunk(covariance: Float64, strength: float, target: Target) -> Float64:
    """Return `(1 - strength) S + strength T`; T is the mean variance times the identity, or S's diagonal."""
    variances = np.diag(covariance)
    towards = np.full_like(variances, variances.mean()) if target == "identity" else variances
    return np.asarray((1 - strength) * covariance + np.diag(strength * towards))


def ledoit_wolf(sums: Float64, fourth: float, rows: int) -> float:
    """Return the best shrinkage towards the identity (Ledoit and Wolf 2004, lemma 3.2 and section 3.3).

    `sums` `(dim, dim)` is the sum of c c^T, and `fourth` the sum of |c|^4, over all rows.
    """
    S = sums / rows
    dim = len(S)
    distance = float(np.sum(S**2)) - float(np.trace(S)) ** 2 / dim  # dim d^2: how far S is from its target
    error = (fourth / rows - float(np.sum(S**2))) / rows  # dim b^2: how far S is from the truth
    return min(error, distance) / distance if error > 0 and distance > 0 else 0.0
