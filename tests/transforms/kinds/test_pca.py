"""PCA is that of scikit-learn, up to sign."""

import numpy as np
import pytest
from sklearn import decomposition

from embedkit.errors import MismatchError
from embedkit.transforms.kinds.pca import PCA

NUMBERS = np.random.default_rng(8)
ROWS = (NUMBERS.normal(size=(300, 10)) @ NUMBERS.normal(size=(10, 10)) - 2).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 4, None])
def test_it_is_that_of_scikit_learn(dim):
    fitted = PCA(dim).fit([ROWS])
    exact = ROWS.astype(np.float64)
    expected = decomposition.PCA(dim, svd_solver="full").fit_transform(exact)
    mine = exact @ fitted.A.T + fitted.b
    np.testing.assert_allclose(mine * np.sign((mine * expected).sum(axis=0)), expected, atol=1e-8)


def test_more_than_the_rank_is_refused():
    with pytest.raises(
        MismatchError, match=r"^pca needs 6 dimensions, but the data have rank 5 \(6 rows, 10 dimensions\)$"
    ):
        PCA(6).fit([ROWS[:6]])


def test_no_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"^dim=0 is not positive$"):
        PCA(0)
