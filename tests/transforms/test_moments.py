"""Streaming moments are those of numpy in two passes, in any chunks and any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError, MismatchError
from embedkit.transforms import moments
from embedkit.transforms.moments import Moments, centroid_of, moments_of, width_of

ROWS = (np.random.default_rng(3).normal(size=(300, 6)) * [1, 2, 3, 0.1, 0.01, 5] + 4).astype(np.float32)


def two_passes(rows):
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    squares = (centred**2).sum(axis=1)
    return Moments(
        len(rows),
        rows.mean(axis=0, dtype=np.float64),
        sum(np.outer(c, c) for c in centred),
        sum(square * c for square, c in zip(squares, centred, strict=True)),
        sum(squares**2),
    )


def assert_same(one, other, tolerance=1e-10):
    assert one.rows == other.rows
    for name in ("mean", "co_moment", "third", "fourth"):
        mine, others = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        np.testing.assert_allclose(mine, others, rtol=tolerance, atol=tolerance * np.abs(others).max())


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 rows, so that a few hundred make many."""
    monkeypatch.setattr(moments, "BLOCK_ROWS", 32)


def test_they_are_those_of_two_passes():
    assert_same(moments_of([ROWS]), two_passes(ROWS))


@given(st.lists(st.integers(0, len(ROWS)), max_size=12))
def test_other_chunks_give_the_same_bits(cuts):
    streamed, at_once = moments_of(np.split(ROWS, sorted(cuts))), moments_of([ROWS])
    assert_same(streamed, at_once, tolerance=0)


@given(st.permutations(range(0, 300, 10)))
def test_another_order_gives_the_same_to_ten_digits(starts):
    assert_same(moments_of(ROWS[start : start + 10] for start in starts), two_passes(ROWS))


@given(st.lists(st.integers(1, len(ROWS) - 1), min_size=1, max_size=6, unique=True))
def test_merging_any_split_is_exact(cuts):
    first, *rest = (Moments.of(part) for part in np.split(ROWS.astype(np.float64), sorted(cuts)))
    for part in rest:
        first = first.merge(part)
    assert_same(first, two_passes(ROWS))


def test_small_variances_far_from_zero_survive():
    rows = (np.random.default_rng(0).normal(size=(4000, 3)) * [1, 1e-2, 1e-3] + 1000).astype(np.float32)
    exact = np.linalg.eigvalsh(two_passes(rows).co_moment)
    np.testing.assert_allclose(np.linalg.eigvalsh(moments_of([rows]).co_moment), exact, rtol=1e-8)
    one_pass = rows.T @ rows - len(rows) * np.outer(rows.mean(axis=0), rows.mean(axis=0))  # in float32
    assert np.abs(np.linalg.eigvalsh(one_pass)[0] / exact[0] - 1) > 1


def test_sums_about_another_centre_are_those_of_the_definition():
    centre = np.arange(6.0)
    shifted = ROWS.astype(np.float64) - centre
    squares = (shifted**2).sum(axis=1)
    co_moment, third, fourth = moments_of([ROWS]).about(centre)
    np.testing.assert_allclose(co_moment, shifted.T @ shifted, rtol=1e-10)
    np.testing.assert_allclose(third, squares @ shifted, rtol=1e-10)
    assert fourth == pytest.approx((squares**2).sum(), rel=1e-10)


def test_mean_squares_are_those_of_the_columns():
    expected = (ROWS.astype(np.float64) ** 2).mean(axis=0)
    np.testing.assert_allclose(moments_of([ROWS]).mean_squares, expected, rtol=1e-12)


def test_the_centroid_is_the_mean():
    count, mean, mean_square = centroid_of(np.split(ROWS, 7 * np.arange(9)))
    np.testing.assert_allclose(mean, ROWS.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert (count, mean_square) == (300, pytest.approx((ROWS.astype(np.float64) ** 2).sum() / 300))


@pytest.mark.parametrize("fit", [moments_of, centroid_of])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 31, 32, 150, 299])
def test_a_row_that_is_not_finite_is_named(fit, bad, row):
    rows = ROWS.copy()
    rows[row, 2] = bad
    with pytest.raises(DataError, match=rf"^row {row + 1}: the vector is not finite$"):
        fit(np.split(rows, 5))


def test_large_numbers_are_finite():
    rows = np.full((3, 2), np.finfo(np.float32).max, dtype=np.float32)
    np.testing.assert_array_equal(moments_of([rows]).mean, rows[0].astype(np.float64))


@pytest.mark.parametrize("fit", [moments_of, centroid_of])
@pytest.mark.parametrize("rows", [[], [ROWS[:0]]])
def test_no_rows_are_refused(fit, rows):
    with pytest.raises(DataError, match=r"^there are no vectors to fit a map on$"):
        fit(rows)


def test_no_blocks_have_no_width():
    assert width_of([ROWS[:0]]) == 6
    with pytest.raises(DataError, match=r"^there are no vectors to fit a map on$"):
        width_of([])


def test_two_widths_are_refused():
    with pytest.raises(MismatchError, match=r"^vectors have 5 columns, those before 6$"):
        moments_of([ROWS, ROWS[:, :5]])
