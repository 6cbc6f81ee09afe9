"""Common neighbours against slow loops; what turning, twins and chance do."""

import numpy as np
import pytest
from scipy.special import expit, logit

from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import resampled_means
from embedkit.evaluation.geometry.agreement import agreement, common
from embedkit.evaluation.jackknife import with_effects

RNG = np.random.default_rng(0)
FIRST = RNG.normal(size=(150, 12)).astype(np.float32)
SECOND = (FIRST[:, :6] + 0.5 * RNG.normal(size=(150, 6))).astype(np.float32)


def slow_neighbours(rows, k):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit.T), axis=1)
    return [[place for place in line if place != row][:k] for row, line in enumerate(order)]


def test_the_parts_are_those_of_a_loop():
    pairs = list(zip(slow_neighbours(FIRST, 10), slow_neighbours(SECOND, 10), strict=True))
    overlap = [len({*a} & {*b}) / 10 for a, b in pairs]
    jaccard = [len({*a} & {*b}) / len({*a} | {*b}) for a, b in pairs]
    np.testing.assert_allclose(common(FIRST, SECOND, 10), overlap)
    found = agreement(FIRST, SECOND, 10, resamples=200, seed=3)
    assert found.overlap.value == pytest.approx(np.mean(overlap))
    assert found.jaccard.value == pytest.approx(np.mean(jaccard))
    assert 0.2 < found.overlap.low < found.overlap.value < found.overlap.high < 0.8
    assert (found.rows, found.k) == (150, 10)


@pytest.mark.parametrize(("rows", "k"), [(40, 3), (25, 1), (30, 10), (11, 10)])
def test_intervals_draw_what_a_row_has_and_what_others_lose_without_it(rows, k):
    first, second = FIRST[:rows], SECOND[:rows]

    def shares(kept):
        overlap = common(first[kept], second[kept], min(k, len(kept) - 1))
        return np.stack([overlap, overlap / (2 - overlap)])

    whole, losses = shares(np.arange(rows)), np.zeros((2, rows, rows))
    for row in range(rows):
        kept = np.delete(np.arange(rows), row)
        losses[:, kept, row] = whole[:, kept] - shares(kept)
    values = with_effects(whole, losses.sum(axis=1), np.sum(losses**2, axis=(1, 2)))
    found = agreement(first, second, k, resamples=200, seed=3)
    for mine, row in zip((found.overlap, found.jaccard), values, strict=True):
        low, high = np.quantile(resampled_means(row, 200, 3), [0.025, 0.975])
        p = np.mean(row)
        ends = [p, p, p] if p == 1 else [p, *expit(logit(p) + (np.array([low, high]) - p) / (p * (1 - p)))]
        np.testing.assert_allclose(mine, ends, rtol=1e-9)


def test_the_two_sides_are_equal():
    np.testing.assert_allclose(common(FIRST, SECOND, 7), common(SECOND, FIRST, 7))


def test_turning_and_scaling_change_no_neighbour():
    turn = np.linalg.qr(RNG.normal(size=(12, 12)))[0].astype(np.float32)
    lengths = RNG.uniform(0.1, 9, size=(150, 1)).astype(np.float32)
    assert (common(FIRST, lengths * FIRST @ turn, 10) == 1).all()


def test_rows_that_have_nothing_to_do_with_each_other_agree_by_chance():
    other = RNG.normal(size=(150, 12)).astype(np.float32)
    found = agreement(FIRST, other, 10, resamples=100, seed=0)
    assert found.overlap.value == pytest.approx(10 / 149, abs=0.015)


def test_which_of_several_equal_rows_is_named_does_not_count():
    twins = np.repeat(FIRST[:20], 10, axis=0)
    shuffled = np.random.default_rng(1).permutation(200)
    turn = np.linalg.qr(RNG.normal(size=(12, 12)))[0].astype(np.float32)
    assert (common(twins[shuffled], (twins @ turn)[shuffled], 5) == 1).all()


def test_a_neighbour_that_only_one_side_ties_for_counts_half():
    """By the first, rows 1 and 2 are as near to row 0, and either may be named; by the others, one is."""
    first = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [-1, 0, 0]], dtype=np.float32)
    nearer_1 = first * np.array([[1, 1, 1], [1, 1, 1], [1, 1, 3], [1, 1, 1]], dtype=np.float32)
    nearer_2 = first * np.array([[1, 1, 1], [1, 3, 1], [1, 1, 1], [1, 1, 1]], dtype=np.float32)
    assert sorted(common(first, second, 1)[0] for second in (nearer_1, nearer_2)) == [0.5, 1]


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="10 neighbours need at least 11 rows in both sets, got 10"):
        agreement(FIRST[:10], SECOND[:10], 10, resamples=100, seed=0)
