"""Random projections: lengths and distances survive as the papers say, and the seed settles everything."""

import numpy as np
import pytest

from embedkit import spec
from embedkit.errors import MismatchError
from embedkit.transforms.kinds.gaussian import Gaussian
from embedkit.transforms.kinds.sparse import Sparse
from embedkit.transforms.kinds.srht import SRHT

KINDS = [Gaussian, Sparse, SRHT]


def matrix(settings, columns):
    fitted = settings.fit([np.empty((0, columns), dtype=np.float32)])
    np.testing.assert_array_equal(fitted.b, 0)
    return fitted.A


def squared_distances(rows):
    squares = (rows**2).sum(axis=1)
    return (squares[:, None] + squares - 2 * rows @ rows.T)[np.triu_indices(len(rows), 1)]


def worst_distortion(dim):
    rows = np.random.default_rng(6).normal(size=(60, 1200))
    ratios = squared_distances(rows @ matrix(Gaussian(dim), 1200).T) / squared_distances(rows)
    return np.abs(ratios - 1).max()


def test_the_lemma_bounds_all_squared_distances():
    N, epsilon = 60, 0.4
    assert worst_distortion(int(24 * np.log(N) / epsilon**2) + 1) < epsilon
    assert worst_distortion(20) > epsilon  # fewer dimensions do not hold it


def test_the_bound_of_scikit_learn_holds_too_with_fewer_dimensions():
    from sklearn.random_projection import johnson_lindenstrauss_min_dim

    N, epsilon = 60, 0.4
    dim = johnson_lindenstrauss_min_dim(N, eps=epsilon)
    assert dim < 24 * np.log(N) / epsilon**2 / 2
    assert worst_distortion(dim) < epsilon


def test_gaussian_entries_have_variance_one_over_dim():
    A = matrix(Gaussian(100), 400)
    assert A.std() * 10 == pytest.approx(1, abs=0.02)
    assert A.mean() * 10 == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [24, 32, 45])
def test_squared_norms_are_kept_on_average(kind, columns):
    x = np.random.default_rng(columns).normal(size=columns)
    ratios = [np.sum((matrix(kind(8, seed=seed), columns) @ x) ** 2) / np.sum(x**2) for seed in range(600)]
    error = np.std(ratios) / 600**0.5
    assert np.mean(ratios) == pytest.approx(1, abs=4 * error)
    assert 0.001 < error < 0.05


@pytest.mark.parametrize("density", [1.0, 1 / 3, 0.05, None])
def test_sparse_entries_are_those_of_achlioptas_and_li(density):
    A = matrix(Sparse(100, density), 400)
    share = density or 400**-0.5
    expected = (1 / (share * 100)) ** 0.5
    np.testing.assert_allclose(np.unique(np.abs(A)), [0, expected] if share < 1 else [expected])
    assert np.mean(A != 0) == pytest.approx(share, abs=0.02)
    assert np.mean(A > 0) == pytest.approx(share / 2, abs=0.02)


def test_srht_with_all_rows_is_orthogonal():
    A = matrix(SRHT(32), 32)
    np.testing.assert_allclose(A @ A.T, np.eye(32), atol=1e-12)


def test_srht_rows_are_different_rows_of_signs():
    A = matrix(SRHT(20), 45)
    np.testing.assert_allclose(np.abs(A), 20**-0.5)
    assert len(np.unique(A, axis=0)) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_settles_the_matrix(kind):
    np.testing.assert_array_equal(matrix(kind(5, seed=1), 20), matrix(kind(5, seed=1), 20))
    assert not np.array_equal(matrix(kind(5, seed=1), 20), matrix(kind(5, seed=2), 20))


@pytest.mark.parametrize("kind", KINDS)
def test_more_dimensions_than_there_are_is_refused(kind):
    name = spec.render(kind(9)).partition(":")[0]
    with pytest.raises(MismatchError, match=rf"^{name} needs 9 dimensions, vectors have 8$"):
        matrix(kind(9), 8)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_that_cannot_be_honoured_are_refused(kind):
    with pytest.raises(ValueError, match=r"^dim=0 is not positive$"):
        kind(0)
    with pytest.raises(ValueError, match=r"^seed=-1 is negative$"):
        kind(1, seed=-1)


@pytest.mark.parametrize("density", [0.0, 1.1, float("nan")])
def test_a_density_that_is_no_share_is_refused(density):
    with pytest.raises(ValueError, match="is not above 0 and at most 1"):
        Sparse(1, density)
