"""Principal axes: shrinkage as scikit-learn has it, an honest rank, the same signs every time."""

import numpy as np
import pytest

from embedkit.errors import DataError, MismatchError
from embedkit.transforms.axes import principal_axes, shrunk
from embedkit.transforms.streaming import fourth_moments_of

NUMBERS = np.random.default_rng(11)
ROWS = (NUMBERS.normal(size=(60, 8)) @ NUMBERS.normal(size=(8, 8)) + 1).astype(np.float32)


def axes(rows, **settings):
    return principal_axes(fourth_moments_of([rows]), **settings)


def covariance(axes):
    return axes.directions.T @ (axes.variances[:, None] * axes.directions)


def test_they_take_the_covariance_apart():
    found = axes(ROWS)
    np.testing.assert_allclose(covariance(found), np.cov(ROWS.T.astype(np.float64), ddof=1), atol=1e-10)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(8), atol=1e-12)
    assert (np.diff(found.variances) < 0).all()


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:12], ROWS[:3]])
def test_ledoit_wolf_is_that_of_scikit_learn(rows, beta):
    from sklearn.covariance import LedoitWolf

    exact = rows.astype(np.float64)
    oracle = LedoitWolf(assume_centered=True).fit(exact - beta * exact.mean(axis=0))
    assert oracle.shrinkage_ > 0.01
    expected = oracle.covariance_ * len(rows) / (len(rows) - 1)
    np.testing.assert_allclose(
        covariance(axes(rows, beta=beta, shrinkage="ledoit-wolf")), expected, rtol=1e-8
    )


def test_ledoit_wolf_goes_no_further_than_the_target():
    from sklearn.covariance import LedoitWolf

    rows = np.random.default_rng(2).normal(size=(40, 8)).astype(np.float32)  # equal variances, badly measured
    assert LedoitWolf().fit(rows.astype(np.float64)).shrinkage_ == 1
    np.testing.assert_allclose(
        axes(rows, shrinkage="ledoit-wolf").variances, rows.var(axis=0, ddof=1).mean(), rtol=1e-5
    )


def test_ledoit_wolf_of_rows_that_need_none_is_none():
    rows = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)  # equal variances: nowhere to shrink to
    np.testing.assert_allclose(axes(rows, shrinkage="ledoit-wolf").variances, np.full(4, 2 / 7))


def test_fixed_shrinkage_is_that_of_scikit_learn():
    from sklearn.covariance import shrunk_covariance

    S = np.cov(ROWS.T.astype(np.float64))
    np.testing.assert_allclose(covariance(axes(ROWS, shrinkage=0.3)), shrunk_covariance(S, 0.3), atol=1e-10)


def test_the_diagonal_is_another_target():
    S = np.cov(ROWS.T.astype(np.float64))
    np.testing.assert_allclose(shrunk(S, 1.0, "diagonal"), np.diag(np.diag(S)))
    np.testing.assert_allclose(shrunk(S, 0.25, "diagonal")[0], [S[0, 0], *(0.75 * S[0, 1:])])


def test_shrinkage_gives_few_rows_full_rank():
    assert axes(ROWS[:4]).rank == 3
    assert axes(ROWS[:4], shrinkage=0.1).rank == 8


@pytest.mark.parametrize("centre", [0, 1, 1e4])
@pytest.mark.parametrize("rank", [1, 5, 40])
def test_the_rank_is_that_of_the_data_whatever_float32_adds(rank, centre):
    numbers = np.random.default_rng(rank)
    rows = numbers.normal(size=(500, rank)) @ numbers.normal(size=(rank, 40)) + centre
    assert axes(rows.astype(np.float32)).rank == rank


def test_few_rows_bound_the_rank():
    rows = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    assert axes(rows).rank == 19
    assert axes(rows, beta=0.0).rank == 20


def test_the_tolerance_is_relative_to_the_largest_variance():
    rows = np.diag([1e3, 1.0, 1e-2]).astype(np.float32)
    rows = np.concatenate([rows, -rows])
    assert [axes(rows, tolerance=t).rank for t in (0.0, 1e-11, 1e-9, 1e-5)] == [3, 3, 2, 1]


def test_the_largest_component_is_positive():
    one, other = axes(ROWS), axes(-ROWS)
    np.testing.assert_allclose(one.directions, other.directions, atol=1e-10)
    assert (one.directions.max(axis=1) == np.abs(one.directions).max(axis=1)).all()


def test_more_than_the_rank_is_refused_with_both_numbers():
    with pytest.raises(MismatchError) as caught:
        axes(ROWS[:4]).first(5, what="pca")
    assert str(caught.value) == "pca needs 5 dimensions, but the data have rank 3 (4 rows, 8 dimensions)"


def test_rows_that_are_all_one_are_refused():
    with pytest.raises(
        DataError, match=r"^zca needs rows that differ, but the data have rank 0 \(9 rows, 8 dimensions\)$"
    ):
        axes(np.repeat(ROWS[:1], 9, axis=0)).first(None, what="zca")


def test_a_single_row_is_refused():
    with pytest.raises(DataError, match=r"^a covariance needs at least 2 rows, got 1$"):
        axes(ROWS[:1])
