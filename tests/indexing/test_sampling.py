"""The sample is drawn from all rows, and all rows come again."""

import numpy as np
import pytest

from embedkit.indexing.sampling import sampled

ROWS = np.arange(2000, dtype=np.float32).reshape(1000, 2)


def drawn(size, parts, folder, seed=0):
    sample, rows = sampled(iter(np.array_split(ROWS, parts)), folder, seed, size)
    np.testing.assert_array_equal(np.concatenate(list(rows)), ROWS)
    assert list(folder.iterdir()) == []
    return sample


def test_it_is_the_same_in_any_blocks_and_another_by_another_seed(folder):
    sample = drawn(100, 1, folder)
    np.testing.assert_array_equal(drawn(100, 13, folder), sample)
    assert not np.array_equal(drawn(100, 13, folder, seed=1), sample)


def test_every_row_is_as_likely(folder):
    counts = np.zeros(1000)
    for seed in range(100):
        sample = drawn(100, 3, folder, seed)
        assert sample.shape == (100, 2)
        counts[(sample[:, 0] / 2).astype(int)] += 1
    tenths = counts.reshape(10, 100).sum(axis=1)  # 1000 expected, deviation 29
    assert np.abs(tenths - 1000).max() < 120
    assert counts.max() < 30


@pytest.mark.parametrize("size", [1000, 5000])
def test_few_rows_are_all_taken(folder, size):
    np.testing.assert_array_equal(drawn(size, 7, folder), ROWS)
