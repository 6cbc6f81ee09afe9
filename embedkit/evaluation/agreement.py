"""Do two vector sets of the same rows agree who is whose neighbour?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.encoder import unit_length
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import Estimate, estimate, resampled_means
from embedkit.evaluation.neighbours import TIE, nearest

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Ids = NDArray[np.int64]


class Agreement(NamedTuple):
    """The `k` nearest neighbours that two sets have in common, the mean over `rows` rows."""

    overlap: Estimate  # common ones / k
    jaccard: Estimate  # common ones / all that either has
    rows: int
    k: int


def agreement(first: Float32, second: Float32, k: int, *, resamples: int, seed: int) -> Agreement:
    """Compare the neighbours among rows `(rows, dim)` with those among the same rows in other columns.

    Raises DataError for `k` rows or fewer. Intervals draw rows again, not who else there is to be near to.
    """
    if len(first) <= k:
        raise DataError(f"{k} neighbours want {k + 1} rows or more in both sets, there are {len(first)}")
    overlap = common(first, second, k)
    jaccard = overlap / (2 - overlap)  # of two sets of k
    means = [float(part.mean()) for part in (overlap, jaccard)]
    drawn = [resampled_means(part, resamples, seed) for part in (overlap, jaccard)]
    return Agreement(estimate(means[0], drawn[0]), estimate(means[1], drawn[1]), len(first), k)


def common(first: Float32, second: Float32, k: int) -> Float64:
    """Return which part of each row's `k` nearest is the same in both, `(rows,)`.

    Where rows tie, any of them is right: a neighbour by one set counts in the other when it is as near there
    as the k-th. Of the two ways to count so, the mean is taken.
    """
    one, other = unit_length(first), unit_length(second)
    by_one, by_other = nearest(one, len(one), k), nearest(other, len(other), k)
    return (_right(one, by_one, by_other) + _right(other, by_other, by_one)) / 2


def _right(unit: Float32, own: Ids, theirs: Ids) -> Float64:
    """Return which part of `theirs`, `(rows, k)`, is as near by `unit` as the farthest of `own`."""
    least = _cosines(unit, own).min(axis=1, keepdims=True) - TIE
    return np.asarray((_cosines(unit, theirs) >= least).mean(axis=1), dtype=np.float64)


def _cosines(unit: Float32, places: Ids) -> Float32:
    return np.stack([np.einsum("ij,ij->i", unit, unit[column]) for column in places.T], axis=1)
