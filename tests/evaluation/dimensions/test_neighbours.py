"""Neighbours and their overlap against slow loops; what ties, twins and zeros do."""

import numpy as np
import pytest

from embedkit.evaluation.neighbours import SampleNeighbours, nearest

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(200, 12)).astype(np.float32) * RNG.uniform(0.1, 9, size=(200, 1)).astype(np.float32)


def slow_nearest(rows, query, k):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[query]), kind="stable")
    return [place for place in order if place != query][:k]


def test_neighbours_are_those_of_a_loop_by_cosine_without_the_query():
    expected = [slow_nearest(ROWS, query, 10) for query in range(40)]
    np.testing.assert_array_equal(nearest(ROWS, 40, 10), expected)


@pytest.mark.parametrize("columns", [1, 4, 11, 12])
def test_overlap_is_the_part_of_the_sets_in_common(columns):
    changed = ROWS[:, :columns] if columns > 1 else RNG.normal(size=(200, 6)).astype(np.float32)
    expected = [
        len({*slow_nearest(ROWS, query, 10)} & {*slow_nearest(changed, query, 10)}) / 10
        for query in range(40)
    ]
    np.testing.assert_allclose(SampleNeighbours(ROWS, 40, 10).overlap(changed), expected)


def test_scaling_turning_and_shuffling_columns_change_nothing():
    turn = np.linalg.qr(RNG.normal(size=(12, 12)))[0].astype(np.float32)
    assert (SampleNeighbours(ROWS, 200, 5).overlap(3 * ROWS @ turn) == 1).all()


def test_which_of_several_equal_rows_comes_first_does_not_count():
    twins = np.repeat(ROWS[:20], 10, axis=0)
    noisy = twins + np.float32(1e-5) * RNG.normal(size=twins.shape).astype(np.float32)
    assert (SampleNeighbours(twins, 200, 5).overlap(noisy) == 1).all()


def test_a_query_that_many_rows_equal_finds_k_others():
    found = nearest(np.ones((30, 4), dtype=np.float32), 30, 5)
    assert found.shape == (30, 5)


def test_zero_rows_are_near_to_nothing():
    rows = np.vstack([ROWS[:50], np.zeros((3, 12), dtype=np.float32)])
    assert not np.isin(nearest(rows, 10, 5), [50, 51, 52]).any()
