"""The sample: as many rows as asked, uniform, the same however rows are cut."""

import numpy as np
import pytest

from embedkit.data.reservoir import Reservoir, draw

ROWS = np.arange(1000, dtype=np.float32)[:, None] * np.ones((1, 3), dtype=np.float32)


@pytest.mark.parametrize("step", [1, 7, 400, 1000])
def test_the_sample_is_the_rows_of_the_smallest_numbers_drawn(step):
    blocks = (ROWS[start : start + step] for start in range(0, 1000, step))
    vectors, rows = draw(blocks, 50, seed=3)
    expected = np.argsort(np.random.default_rng(3).random(1000))[:50]
    np.testing.assert_array_equal(vectors[:, 0], expected)
    assert rows == 1000


def test_few_rows_are_all_drawn_in_another_order():
    vectors, rows = draw([ROWS[:20]], 50, seed=0)
    assert rows == 20
    assert sorted(vectors[:, 0]) == list(range(20))
    assert list(vectors[:, 0]) != list(range(20))


def test_every_row_is_drawn_as_often_as_every_other():
    counts = np.zeros(100)
    for seed in range(2000):
        counts[draw([ROWS[:30], ROWS[30:100]], 10, seed=seed).vectors[:, 0].astype(int)] += 1
    deviation = np.sqrt(2000 * 0.1 * 0.9)
    assert np.abs(counts - 200).max() < 4.5 * deviation
    assert np.abs(counts[:30].mean() - 200) < 4 * deviation / np.sqrt(30)


def test_no_rows_are_no_sample():
    vectors, rows = draw([], 10, seed=0)
    assert (len(vectors), rows) == (0, 0)


def test_the_sample_does_not_hold_on_to_what_streams_by():
    block = ROWS[:10].copy()
    vectors, _ = draw([block], 10, seed=0)
    block[:] = -1
    assert vectors.min() == 0


@pytest.mark.parametrize("step", [1, 7, 90, 200])
@pytest.mark.parametrize("size", [0, 1, 30, 199, 200, 300])
def test_of_equal_keys_the_earlier_rows_are_kept(step, size):
    keys = np.random.default_rng(0).integers(0, 12, 200).astype(np.uint64)
    names = np.array([f"row {row}" for row in range(200)], dtype=object)
    reservoir = Reservoir(size)
    for start in range(0, 200, step):
        reservoir.add(keys[start : start + step], names[start : start + step])
    expected = np.argsort(keys, kind="stable")[:size]
    assert reservoir.rows == 200
    (kept,) = reservoir.by_key()
    np.testing.assert_array_equal(kept, names[expected])
    numbers, (kept,) = reservoir.by_row()
    np.testing.assert_array_equal(numbers, np.sort(expected))
    np.testing.assert_array_equal(kept, names[np.sort(expected)])
