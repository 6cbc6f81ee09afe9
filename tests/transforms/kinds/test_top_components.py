"""All but the top: the first directions are gone, the rest is as it was."""

import numpy as np
import pytest
from sklearn import decomposition

from embedkit.errors import MismatchError
from embedkit.transforms.kinds.top_components import TopComponents

NUMBERS = np.random.default_rng(4)
ROWS = (NUMBERS.normal(size=(200, 9)) @ NUMBERS.normal(size=(9, 9)) + 1).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3])
def test_it_is_the_algorithm_of_the_paper(count):
    fitted = TopComponents(count).fit([ROWS])
    centred = ROWS.astype(np.float64) - ROWS.mean(axis=0, dtype=np.float64)
    U = decomposition.PCA(count, svd_solver="full").fit(centred).components_
    expected = centred - sum((centred @ u)[:, None] * u for u in U)
    np.testing.assert_allclose(ROWS @ fitted.A.T + fitted.b, expected, atol=1e-8)


@pytest.mark.parametrize(("columns", "gone"), [(9, 1), (149, 1), (384, 4)])
def test_one_direction_goes_for_a_hundred_columns(columns, gone):
    rows = NUMBERS.normal(size=(400, columns)).astype(np.float32)
    assert np.linalg.matrix_rank(TopComponents().fit([rows]).A) == columns - gone


def test_more_than_there_are_is_refused():
    with pytest.raises(
        MismatchError, match=r"^top-components needs 3 dimensions, but the data have rank 2 \(3 rows"
    ):
        TopComponents(3).fit([ROWS[:3]])


def test_none_is_refused():
    with pytest.raises(ValueError, match=r"^components=0 is not positive$"):
        TopComponents(0)
