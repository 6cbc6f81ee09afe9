"""Whitening as mathematics: identity covariance, invariance, agreement with faiss and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError, MismatchError
from embedkit.transforms import streaming
from embedkit.transforms.kinds.whitening import Whitening

NUMBERS = np.random.default_rng(5)
MIXING = NUMBERS.normal(size=(12, 12))
ROWS = (NUMBERS.normal(size=(400, 12)) @ MIXING + 3).astype(np.float32)
HELD_OUT = (NUMBERS.normal(size=(100, 12)) @ MIXING + 3).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 rows, so that a few hundred make many."""
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 32)


def whitened(rows, settings=None, fitted_on=None):
    """Apply a whitening in float64, so that what is seen is the fit."""
    fitted = (settings or Whitening()).fit([rows if fitted_on is None else fitted_on])
    return rows.astype(np.float64) @ fitted.A.T + fitted.b


def cosines(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def up_to_sign(columns, others):
    return columns * np.sign((columns * others).sum(axis=0))


def test_the_mean_is_zero_and_the_covariance_is_the_identity_with_ddof_1():
    Y = whitened(ROWS)
    np.testing.assert_allclose(Y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.cov(Y.T, ddof=1), np.eye(12), atol=1e-6)


@pytest.mark.parametrize("dim", [1, 5, 11])
def test_fewer_columns_are_the_first_of_all(dim):
    np.testing.assert_allclose(whitened(ROWS, Whitening(dim=dim)), whitened(ROWS)[:, :dim], atol=1e-12)


@given(st.integers(0, 1000))
def test_cosines_do_not_change_with_any_invertible_change_of_the_inputs(seed):
    numbers = np.random.default_rng(seed)
    U, V = (np.linalg.qr(numbers.normal(size=(12, 12)))[0] for _ in range(2))
    C = U @ np.diag(numbers.uniform(0.5, 2, 12)) @ V
    changed = ROWS.astype(np.float64) @ C + numbers.normal(size=12)
    np.testing.assert_allclose(cosines(whitened(changed)), cosines(whitened(ROWS)), atol=1e-7)
    assert np.abs(cosines(changed) - cosines(ROWS)).max() > 1e-2  # which they otherwise do


@given(st.permutations(range(0, 400, 20)), st.lists(st.integers(0, 400), max_size=5))
def test_other_chunks_in_another_order_give_the_same_to_ten_digits(starts, cuts):
    shuffled = np.concatenate([ROWS[start : start + 20] for start in starts])
    streamed, at_once = Whitening().fit(np.split(shuffled, sorted(cuts))), Whitening().fit([ROWS])
    np.testing.assert_allclose(streamed.A, at_once.A, atol=1e-10)
    np.testing.assert_allclose(streamed.b, at_once.b, atol=1e-10)


def test_it_is_that_of_scikit_learn():
    from sklearn.decomposition import PCA

    exact = ROWS.astype(np.float64)
    oracle = PCA(whiten=True, svd_solver="full").fit_transform(exact)  # ddof 1
    np.testing.assert_allclose(up_to_sign(whitened(ROWS), oracle), oracle, atol=1e-8)


def test_it_is_that_of_faiss():
    import faiss

    oracle = faiss.PCAMatrix(12, 5, -0.5)
    oracle.train(ROWS)
    expected = oracle.apply(HELD_OUT) * (len(ROWS) - 1) ** 0.5  # faiss leaves its sums undivided
    mine = whitened(HELD_OUT, Whitening(dim=5), fitted_on=ROWS)
    np.testing.assert_allclose(up_to_sign(mine, expected), expected, atol=2e-4)


@pytest.mark.parametrize("beta", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.0])
def test_beta_and_gamma_are_those_of_the_formula(beta, gamma):
    exact = ROWS.astype(np.float64)
    shifted = exact - beta * exact.mean(axis=0)
    L, U = np.linalg.eigh(shifted.T @ shifted / (len(ROWS) - 1))
    expected = shifted @ (U[:, ::-1] * L[::-1] ** (-gamma / 2))
    Y = whitened(ROWS, Whitening(beta=beta, gamma=gamma))
    np.testing.assert_allclose(up_to_sign(Y, expected), expected, atol=1e-8)


def few_rows():
    numbers = np.random.default_rng(2)
    return numbers.normal(size=(100, 384)).astype(np.float32), numbers.normal(size=(200, 384)).astype(
        np.float32
    )


def test_more_dimensions_than_few_rows_bear_are_refused_with_both_numbers():
    rows, _ = few_rows()
    with pytest.raises(MismatchError) as caught:
        Whitening(dim=256).fit([rows])
    assert (
        str(caught.value)
        == "whitening needs 256 dimensions, but the data have rank 99 (100 rows, 384 dimensions)"
    )


def test_held_out_norms_do_not_explode_with_few_rows():
    rows, held_out = few_rows()
    fitted = Whitening().fit([rows])
    assert (fitted.output_dimension, fitted.story) == (99, {"rank": 99})
    assert np.linalg.norm(fitted.apply(held_out), axis=1).max() < 3 * 99**0.5
    L, U = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
    naive = (held_out - rows.mean(axis=0)) @ U / np.sqrt(np.abs(L))  # no rank: 1/sqrt of rounding errors
    assert np.linalg.norm(naive, axis=1).max() > 1e6


def test_shrinkage_keeps_all_dimensions_of_few_rows_in_bounds():
    rows, held_out = few_rows()
    fitted = Whitening(dim=384, shrinkage="ledoit-wolf").fit([rows])
    assert np.linalg.norm(fitted.apply(held_out), axis=1).max() < 3 * 384**0.5


@pytest.mark.parametrize("settings", [Whitening(), Whitening(shrinkage="ledoit-wolf")])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(settings, bad):
    rows = ROWS.copy()
    rows[[116, 200], 0] = bad
    with pytest.raises(DataError, match=r"^row 117: the vector is not finite$"):
        settings.fit([rows])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim=0 is not positive"),
        ({"beta": float("nan")}, "beta=nan is not a finite number"),
        ({"gamma": float("inf")}, "gamma=inf is not a finite number"),
        ({"shrinkage": 1.5}, "shrinkage=1.5 is not between 0 and 1"),
        ({"shrinkage": float("nan")}, "shrinkage=nan is not between 0 and 1"),
        (
            {"shrinkage": "ledoit-wolf", "target": "diagonal"},
            "shrinkage=ledoit-wolf is towards the identity only",
        ),
        ({"tolerance": 1.0}, "tolerance=1.0 is not between 0 and 1"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Whitening(**settings)
