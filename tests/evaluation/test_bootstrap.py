"""The bootstrap against scipy's, and against what is known of a mean."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from embedkit.evaluation.bootstrap import difference, draws, estimate

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
