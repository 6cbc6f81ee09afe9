"""Moments merge exactly, and can be taken about any centre."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.transforms.moments import FourthMoments
from embedkit.transforms.streaming import centroid_of, fourth_moments_of, moments_of

ROWS = (np.random.default_rng(3).normal(size=(300, 6)) * [1, 2, 3, 0.1, 0.01, 5] + 4).astype(np.float32)
FIELDS = {
    moments_of: ("mean", "co_moment"),
    fourth_moments_of: ("mean", "co_moment"),
    centroid_of: ("mean", "mean_square"),
}


@pytest.mark.parametrize("parts", [1, 7])
def test_sums_about_another_centre_are_those_of_the_definition(parts):
    centre = np.arange(6.0)
    shifted = ROWS.astype(np.float64) - centre
    found = reduce(FourthMoments.merge, (fourth_moments_of([part]) for part in np.array_split(ROWS, parts)))
    np.testing.assert_allclose(found.about(centre), shifted.T @ shifted, rtol=1e-10)
    assert found.fourth_about(centre) == pytest.approx(((shifted**2).sum(axis=1) ** 2).sum(), rel=1e-10)


def test_mean_squares_are_those_of_the_columns():
    expected = (ROWS.astype(np.float64) ** 2).mean(axis=0)
    np.testing.assert_allclose(moments_of([ROWS]).mean_squares, expected, rtol=1e-12)


@pytest.mark.parametrize("sums_of", FIELDS)
@given(st.lists(st.integers(1, len(ROWS) - 1), max_size=8, unique=True), st.randoms(use_true_random=False))
def test_merged_in_any_partition_and_order_they_are_those_of_all_rows(sums_of, cuts, random):
    parts = [sums_of([part]) for part in np.split(ROWS, sorted(cuts))]
    while len(parts) > 1:
        one, other = (parts.pop(random.randrange(len(parts))) for _ in range(2))
        parts.append(one.merge(other))
    whole = sums_of([ROWS])
    assert parts[0].rows == len(ROWS)
    for name in FIELDS[sums_of]:
        expected = getattr(whole, name)
        np.testing.assert_allclose(getattr(parts[0], name), expected, atol=1e-13 * np.abs(expected).max())


@given(st.lists(st.integers(1, len(ROWS) - 1), max_size=5, unique=True))
def test_merged_fourth_moments_are_sums_over_all_rows_about_the_first_shift(cuts):
    first, *others = (fourth_moments_of([part]) for part in np.split(ROWS, sorted(cuts)))
    for other in others:
        first = first.merge(other)
    u = ROWS.astype(np.longdouble) - first.shift
    squares = (u**2).sum(axis=1)
    np.testing.assert_allclose(first.third, (squares[:, None] * u).sum(axis=0).astype(float), rtol=1e-11)
    assert first.fourth == pytest.approx(float((squares**2).sum()), rel=1e-13)


def test_merging_loses_nothing_where_the_parts_are_far_from_each_other():
    rows = (np.random.default_rng(0).normal(size=(4000, 3)) * [1, 1e-2, 1e-3]).astype(np.float32)
    rows[:2000] += 1000
    wide = rows.astype(np.longdouble)
    centred = wide - wide.mean(axis=0)
    exact = np.linalg.eigvalsh((centred.T @ centred).astype(np.float64))
    merged = moments_of([rows[:2000]]).merge(moments_of([rows[2000:]]))
    np.testing.assert_allclose(np.linalg.eigvalsh(merged.co_moment)[1:], exact[1:], rtol=1e-8)
