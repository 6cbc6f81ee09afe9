"""The bootstrap: how far a figure would move if the rows had been drawn again (Efron and Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import DataError

Float64 = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95  # of an interval
_BOUND = 1e-9  # shares that are nearer to 0 or 1 are there but for rounding


class Estimate(NamedTuple):
    """A figure and its interval, which holds 95 % of the resampled figures."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference of two figures on the same rows, its interval, and how often chance is as far off."""

    value: float
    low: float
    high: float
    p: float  # two-sided


def draws(sizes: Sequence[int], resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Float64]:
    """Yield how often each row was drawn, `(sum of sizes,)`, for each resample.

    Rows come in groups of `sizes` that are drawn from with replacement, each to its own size.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        groups = [np.bincount(generator.integers(size, size=size), minlength=size) for size in sizes]
        yield np.concatenate(groups).astype(np.float64)


def resampled_means(values: Float64, resamples: int = RESAMPLES, seed: int = 0) -> Float64:
    """Return the means of values `(..., rows)` in each resample of the rows, `(resamples, ...)`."""
    rows = values.shape[-1]
    means = [values @ counts for counts in draws([rows], resamples, seed)]
    return np.asarray(np.array(means) / rows)


def estimate(value: float, samples: Float64) -> Estimate:
    """Return a figure with the percentile interval of its resampled values `(resamples,)` (section 13.3).

    A resample without a value, NaN, is left out; raises DataError where none has one.
    """
    low, high = _interval(samples)
    return Estimate(float(value), low, high)


def share_estimate(value: float, samples: Float64) -> Estimate:
    """Return a share, from 0 to 1, with the interval of resampled values that may lie beyond its bounds.

    Means of pseudo-values know no bounds, so percentiles of them may be negative. They are moved to the logit
    of the share by its slope there, 1 / (p (1 - p)) (the delta method), and back, which keeps them between 0
    and 1 and makes the interval longer where there is more room. Of 300 simulations with 60 texts, 30 labels
    and a top-1 of .07, such intervals held the truth in 90 %; as they were, 84 % held it and 72 % reached
    below zero. A share at a bound has no logit, and its interval ends there.
    """
    from scipy.special import expit, logit

    low, high = _interval(samples)
    if _BOUND < value < 1 - _BOUND:
        slope = 1 / (value * (1 - value))
        low, high = expit(logit(value) + slope * (np.array([low, high]) - value))
    value, low, high = np.clip([value, low, high], 0.0, 1.0)
    return Estimate(float(value), float(low), float(high))


def mean_estimate(values: Float64, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Return the mean of values `(rows,)` with its interval."""
    return estimate(float(values.mean()), resampled_means(values, resamples, seed))


def difference(value: float, samples: Float64) -> Difference:
    """Return a difference with the percentile interval of its resampled values `(resamples,)`.

    `p` is twice the smaller share of resamples on either side of zero, counting the data themselves. A
    resample without a value, NaN, is left out; raises DataError where none has one.
    """
    low, high = _interval(samples)
    samples = samples[~np.isnan(samples)]
    smaller = min(np.sum(samples <= 0), np.sum(samples >= 0))
    return Difference(float(value), low, high, min(1.0, 2 * (int(smaller) + 1) / (len(samples) + 1)))


def _interval(samples: Float64) -> tuple[float, float]:
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        raise DataError("no resample has a value, so there is no interval", hint="it needs more rows")
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
