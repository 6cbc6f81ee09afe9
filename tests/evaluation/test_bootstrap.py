"""The bootstrap against scipy's, and against what is known of a mean."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import difference, draws, estimate, share_estimate

VALUES = np.random.default_rng(3).normal(5, 2, size=400)


def means(seed=0, resamples=2000):
    return np.array([counts @ VALUES / 400 for counts in draws([400], resamples, seed)])


def test_each_group_is_drawn_to_its_own_size():
    for counts in draws([3, 5, 1], 50):
        assert [part.sum() for part in np.split(counts, [3, 8])] == [3, 5, 1]
        assert counts[8] == 1


def test_every_row_is_drawn_as_often_as_another():
    counts = np.sum(list(draws([10], 4000)), axis=0)
    np.testing.assert_allclose(counts / 4000, 1, atol=0.05)


def test_the_interval_is_that_of_scipy():
    oracle = bootstrap((VALUES,), np.mean, n_resamples=2000, method="percentile", rng=1).confidence_interval
    mine = estimate(VALUES.mean(), means())
    np.testing.assert_allclose(mine[1:], [oracle.low, oracle.high], atol=0.02)  # of a width of .4
    assert mine.value == VALUES.mean()


def test_the_seed_settles_it():
    np.testing.assert_array_equal(means(seed=1, resamples=20), means(seed=1, resamples=20))
    assert (means(seed=1, resamples=20) != means(seed=2, resamples=20)).all()


@pytest.mark.parametrize(
    ("samples", "p"),
    [
        (np.arange(1, 100), 2 / 100),  # never on the other side of zero
        (-np.arange(1.0, 100), 2 / 100),
        (np.arange(-9, 90), 2 * 11 / 100),  # ten of 99 at zero or below
        (np.zeros(99), 1.0),
    ],
)
def test_p_counts_the_smaller_side_twice_and_the_data_themselves(samples, p):
    assert difference(0.5, samples.astype(float)).p == pytest.approx(p)


# Shares


@pytest.mark.parametrize("value", [0.02, 0.5, 0.97])
def test_the_interval_of_a_share_is_within_its_bounds_whatever_is_resampled(value):
    samples = value + np.random.default_rng(1).normal(size=2000) * 0.05
    found = share_estimate(value, samples)
    assert 0 < found.low < value < found.high < 1
    odds = value / (1 - value)  # by hand: odds times exp(d / (p (1 - p))), d how far a percentile is away
    for mine, end in zip(found[1:], np.quantile(samples, [0.025, 0.975]), strict=True):
        moved = odds * np.exp((end - value) / (value * (1 - value)))
        assert mine == pytest.approx(moved / (1 + moved))


def test_the_interval_of_a_share_that_hardly_moves_is_that_of_any_mean():
    samples = 0.3 + np.random.default_rng(1).normal(size=2000) * 1e-4
    assert share_estimate(0.3, samples) == pytest.approx(estimate(0.3, samples), abs=1e-7)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-17, 1 + 1e-16, 1 - 1e-16])
def test_a_share_at_a_bound_has_an_interval_that_ends_there(value):
    found = share_estimate(value, value + np.array([-0.1, 0.0, 0.1]).repeat(100))
    assert found == pytest.approx((0, 0, 0.1) if value < 0.5 else (1, 0.9, 1))
    assert all(0 <= each <= 1 for each in found)


def test_resamples_without_a_value_are_left_out():
    samples = np.linspace(0, 1, 101)
    with_gaps = np.concatenate([samples, np.full(50, np.nan)])
    assert estimate(0.5, with_gaps) == estimate(0.5, samples)
    assert difference(0.5, with_gaps) == difference(0.5, samples)
    with pytest.raises(DataError, match=r"^no resample has a value, so there is no interval; "):
        estimate(0.5, np.full(5, np.nan))
