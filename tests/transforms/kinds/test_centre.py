"""Centring takes the mean away and changes no difference."""

import numpy as np

from embedkit.transforms.kinds.centre import Centre

ROWS = np.random.default_rng(1).normal(3, 2, (50, 4)).astype(np.float32)


def test_the_mean_is_zero_and_differences_stay():
    mapped = Centre().fit(np.split(ROWS, [7, 20])).apply(ROWS)
    np.testing.assert_allclose(mapped.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(mapped - mapped[0], ROWS - ROWS[0], atol=1e-5)
