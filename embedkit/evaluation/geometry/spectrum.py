"""The spectrum of vectors: measure how their variance is spread over its principal axes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.transforms.axes import principal_axes
from embedkit.transforms.moments import Moments


class Spectrum(NamedTuple):
    """The variances along the principal axes, `(rank,)`, largest first, and how many dimensions are in use.

    When all rows are equal there are no variances, and all measures are 0.
    """

    variances: Float64
    effective_rank: float
    participation_ratio: float
    isoscore: float  # 0: all variance on one axis; 1: the same on every axis

    @property
    def rank(self) -> int:
        """The number of axes whose variance is more than rounding error."""
        return len(self.variances)

    @property
    def first_share(self) -> float:
        """The share of the variance on the first axis."""
        return float(self.variances[0] / self.variances.sum()) if self.rank else 0.0


def spectrum_of(moments: Moments) -> Spectrum:
    """Return the spectrum of the covariance; raise DataError for a single row."""
    variances = principal_axes(moments).variances
    ratio = participation_ratio(variances)
    return Spectrum(variances, effective_rank(variances), ratio, isoscore(ratio, len(moments.mean)))


def effective_rank(variances: Float64) -> float:
    """Return exp of the entropy of the variances `(axes,)` as shares of their sum; 0 when the sum is 0.

    This is definition 1 of Roy and Vetterli 2007 for the covariance, whose singular values are the variances.
    """
    shares = variances[variances > 0] / max(float(variances.sum()), np.finfo(np.float64).tiny)
    return math.exp(-float(shares @ np.log(shares))) if len(shares) else 0.0


def participation_ratio(variances: Float64) -> float:
    """Return (sum of variances)^2 / sum of squared variances: the number of axes if all were equal."""
    if not variances.any():
        return 0.0
    shares = variances / variances.max()  # without it, squares of tiny variances underflow to 0
    return float(shares.sum()) ** 2 / float(shares @ shares)


def isoscore(ratio: float, dimension: int) -> float:
    """Return IsoScore (Rudman et al. 2022, algorithm 1) from the participation ratio; 0 when the ratio is 0.

    The isotropy defect d of the paper has d^2 (n - sqrt n) = n - sqrt(n ratio) in n dimensions, so that its
    six steps reduce to (ratio - 1) / (n - 1). The score of a single dimension is 1.
    """
    if ratio == 0:
        return 0.0
    return (ratio - 1) / (dimension - 1) if dimension > 1 else 1.0
