"""Means of resamples: those of rows drawn one by one, and as far apart as theory says."""

import numpy as np
import pytest

from embedkit.evaluation.bootstrap import draws, resampled_means


def test_each_is_the_mean_of_the_rows_drawn():
    values = np.random.default_rng(0).normal(size=30)
    expected = [np.repeat(values, counts.astype(int)).mean() for counts in draws([30], 50, 7)]
    np.testing.assert_allclose(resampled_means(values, 50, 7), expected)


def test_they_vary_as_a_mean_does():
    values = np.random.default_rng(0).gamma(2.0, size=400)
    means = resampled_means(values, 3000, 0)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.06)
    assert means.mean() == pytest.approx(values.mean(), abs=4 * values.std() / 20 / np.sqrt(3000))
