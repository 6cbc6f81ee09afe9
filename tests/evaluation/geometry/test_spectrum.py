"""The spectrum against numpy, scipy and the steps of the papers; what constant and rank-one rows give."""

import numpy as np
import pytest
from scipy.stats import entropy

from embedkit.errors import DataError
from embedkit.evaluation.geometry.spectrum import effective_rank, isoscore, participation_ratio, spectrum_of
from embedkit.transforms.streaming import moments_of

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(500, 12)) * np.geomspace(1, 0.05, 12) + 3).astype(np.float32)


def of(rows):
    return spectrum_of(moments_of([np.asarray(rows, dtype=np.float32)]))


def published_isoscore(rows):
    """Algorithm 1 of Rudman et al. 2022, step by step."""
    n = rows.shape[1]
    covariance = np.cov(np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2] @ rows.T)  # 2, 3
    diagonal = np.diag(covariance)
    normalised = np.sqrt(n) * diagonal / np.linalg.norm(diagonal)  # 4
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (n - np.sqrt(n)))  # 5
    share = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2  # 6
    return (n * share - 1) / (n - 1)  # 7


def test_variances_are_the_squared_singular_values_of_the_centred_rows():
    singular = np.linalg.svd(ROWS - ROWS.mean(axis=0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(of(ROWS).variances, singular**2 / 499, rtol=1e-9)


def test_the_figures_are_those_of_their_definitions():
    found, variances = of(ROWS), np.linalg.eigvalsh(np.cov(ROWS.T.astype(np.float64)))
    assert found.effective_rank == pytest.approx(np.exp(entropy(variances)))
    assert found.participation_ratio == pytest.approx(variances.sum() ** 2 / (variances**2).sum())
    assert found.isoscore == pytest.approx(published_isoscore(ROWS.astype(np.float64)), abs=1e-9)
    assert found.first_share == pytest.approx(variances.max() / variances.sum())
    assert found.rank == 12


def test_axes_that_are_all_alike_are_all_in_use():
    found = of(np.vstack([np.eye(7), -np.eye(7)]) + 5)
    assert found.rank == 7
    np.testing.assert_allclose([found.effective_rank, found.participation_ratio], 7)
    assert found.isoscore == pytest.approx(1)


def test_m_equal_axes_of_n_count_as_m():
    found = of(np.vstack([np.eye(3, 10), -np.eye(3, 10)]))
    assert (found.rank, found.effective_rank) == (3, pytest.approx(3))
    assert found.isoscore == pytest.approx(2 / 9)


def test_rows_on_a_line_use_one_axis():
    found = of(np.outer(RNG.normal(size=50), np.arange(1, 6)))
    assert found.rank == 1
    np.testing.assert_allclose([found.effective_rank, found.participation_ratio, found.first_share], 1)
    assert found.isoscore == pytest.approx(0)


def test_rows_that_do_not_differ_have_no_variance():
    found = of(np.full((40, 5), 0.1))
    assert (found.rank, found.effective_rank, found.participation_ratio) == (0, 0, 0)
    assert (found.isoscore, found.first_share) == (0, 0)


def test_one_column_is_all_there_is():
    assert of(ROWS[:, :1]).isoscore == 1


def test_no_size_of_the_numbers_changes_the_shares():
    tiny = np.array([3e-200, 1e-200])
    assert participation_ratio(tiny) == pytest.approx(1.6)
    assert effective_rank(tiny) == pytest.approx(effective_rank(tiny * 1e200))
    assert isoscore(1.6, 2) == pytest.approx(0.6)


def test_a_single_row_is_refused():
    with pytest.raises(DataError, match="needs at least 2 rows, got 1"):
        of(ROWS[:1])
