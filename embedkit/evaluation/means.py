"""Compute means over rows for several systems, with intervals and the difference of each from the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from embedkit.data.arrays import Float64
from embedkit.evaluation.bootstrap import (
    RESAMPLES,
    Difference,
    Estimate,
    difference,
    estimate,
    resampled_means,
)

Interval = Callable[[float, Float64], Estimate]


class Result(NamedTuple):
    """One measure of one system: its mean over queries."""

    name: str
    system: int
    value: Estimate
    gain: Difference | None  # from system 0


def mean_results(
    names: Sequence[str],
    values: Float64,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    interval: Interval = estimate,
) -> list[Result]:
    """Return the mean of each measure of each system, from values `(systems, measures, queries)`, ordered by
    measure.

    The same queries are drawn for all systems, so that differences are paired. `interval` returns an estimate
    from a mean and its resampled values.
    """
    means, samples = values.mean(axis=-1), resampled_means(values, resamples, seed)
    return [
        _result(name, system, means[:, place], samples[:, :, place], interval)
        for place, name in enumerate(names)
        for system in range(len(values))
    ]


def _result(name: str, system: int, means: Float64, samples: Float64, interval: Interval) -> Result:
    """Return the result of one system from means `(systems,)` and their resamples `(resamples, systems)`."""
    gain = difference(means[system] - means[0], samples[:, system] - samples[:, 0]) if system else None
    return Result(name, system, interval(means[system], samples[:, system]), gain)
