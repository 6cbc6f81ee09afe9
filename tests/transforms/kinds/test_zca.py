"""ZCA whitens, and of all whitenings it moves the vectors least."""

import numpy as np
import pytest

from embedkit.transforms.kinds.zca import ZCA

NUMBERS = np.random.default_rng(9)
ROWS = (NUMBERS.normal(size=(300, 7)) @ NUMBERS.normal(size=(7, 7)) + 2).astype(np.float32)


def test_it_is_the_inverse_root_of_the_covariance():
    fitted = ZCA().fit([ROWS])
    S = np.cov(ROWS.T.astype(np.float64), ddof=1)
    np.testing.assert_allclose(fitted.A @ S @ fitted.A, np.eye(7), atol=1e-8)
    np.testing.assert_allclose(fitted.A, fitted.A.T, atol=1e-12)
    assert np.linalg.eigvalsh(fitted.A).min() > 0
    np.testing.assert_allclose(fitted.A @ ROWS.mean(axis=0, dtype=np.float64) + fitted.b, 0, atol=1e-8)


def test_axes_without_variance_become_zero():
    flat = ROWS.copy()
    flat[:, 3] = 5.0
    fitted = ZCA().fit([flat])
    assert (fitted.output_dimension, fitted.story["rank"]) == (7, 6)
    moved = flat[:1] + np.eye(7, dtype=np.float32)[3]
    np.testing.assert_allclose(fitted.apply(moved), fitted.apply(flat[:1]), atol=1e-4)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        ZCA(tolerance)
