"""Two streams of batches, side by side: the same ids in the same order, or a refusal."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import MismatchError
from embedkit.transforms.alignment import aligned

IDS = [f"d{number}" for number in range(20)]


def batches(ids=IDS, cuts=(), width=2):
    numbers = np.arange(len(ids), dtype=np.float32)
    vectors = np.repeat(numbers[:, None], width, axis=1)
    bounds = [0, *sorted(cuts), len(ids)]
    for start, stop in pairwise(bounds):
        yield Batch(pa.table({"id": pa.array(ids[start:stop], pa.string())}), vectors[start:stop])


@given(st.lists(st.integers(0, 20), max_size=6), st.lists(st.integers(0, 20), max_size=6))
def test_rows_are_side_by_side_however_the_two_are_cut(cuts, others):
    pairs = list(aligned(batches(cuts=cuts), batches(cuts=others, width=3)))
    x, y = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    assert (x.shape, y.shape) == ((20, 2), (20, 3))
    np.testing.assert_array_equal(x[:, 0], np.arange(20))
    np.testing.assert_array_equal(y[:, 0], np.arange(20))


@given(st.integers(0, 19), st.lists(st.integers(0, 20), max_size=4))
def test_the_first_row_that_differs_is_named(row, cuts):
    others = [*IDS[:row], "x", *IDS[row + 1 :]]
    with pytest.raises(MismatchError) as caught:
        list(aligned(batches(cuts=cuts), batches(others, cuts=[7])))
    assert str(caught.value) == (
        f"row {row + 1}: the id is 'd{row}' in the input, 'x' in the target; "
        "both must contain the same texts in the same order"
    )


@pytest.mark.parametrize(("mine", "theirs"), [(20, 13), (13, 20), (20, 0), (0, 20), (7, 8)])
@pytest.mark.parametrize("cuts", [[], [3, 7, 11]])
def test_two_counts_are_refused_with_both(mine, theirs, cuts):
    one = batches(IDS[:mine], [cut for cut in cuts if cut < mine])
    with pytest.raises(MismatchError) as caught:
        list(aligned(one, batches(IDS[:theirs])))
    assert str(caught.value).startswith(f"the input has {mine} rows, the target {theirs}; both must contain")


def test_nothing_beside_nothing_is_nothing():
    assert list(aligned([], batches([]))) == []
