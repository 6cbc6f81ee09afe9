"""Compute correlations in a resample, where rows count as often as they were drawn, without sorting again."""

from __future__ import annotations

import math

import numpy as np

from embedkit.data.arrays import Float64

ROUNDING = 1e-24  # share of the mean square; values whose variance is smaller count as constant


class Ranks:
    """The ranks of values in any resample, computed without sorting again."""

    def __init__(self, values: Float64) -> None:
        distinct, self._groups = np.unique(values, return_inverse=True)
        self._distinct = len(distinct)

    def within(self, counts: Float64) -> Float64:
        """Return the rank per row, `(rows,)`, when row i was drawn `counts[i]` times; ties get the mean."""
        sizes = np.bincount(self._groups, weights=counts, minlength=self._distinct)
        return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[self._groups])


def weighted_correlation(x: Float64, y: Float64, counts: Float64) -> float:
    """Return Pearson's correlation when row i counts `counts[i]` times; NaN when a side is constant."""
    (x, xx), (y, yy) = _centred(x, counts), _centred(y, counts)
    return _dot(counts * x, y) / math.sqrt(xx * yy) if xx > 0 and yy > 0 else math.nan


def _centred(x: Float64, counts: Float64) -> tuple[Float64, float]:
    """Return x minus its weighted mean, and its weighted sum of squares, 0 where it is only rounding."""
    rows = counts.sum()
    mean = _dot(counts, x) / rows
    x = x - mean
    squares = _dot(counts * x, x)
    return x, squares if squares > ROUNDING * (squares + rows * mean**2) else 0.0


def _dot(x: Float64, y: Float64) -> float:
    return float(np.einsum("i,i->", x, y))  # single-threaded: calls this short are slower on several threads
