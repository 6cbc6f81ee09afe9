"""Softmax of cosines: its known value, and torch's cross-entropy of vectors that have unit length already."""

import math

import pytest
import torch

from embedkit.losses.kinds.softmax import Softmax


@pytest.mark.parametrize("classes", [1, 2, 77])
def test_equal_cosines_give_log_classes(classes):
    rows, vectors = torch.ones(4, 3, dtype=torch.float64), torch.ones(classes, 3, dtype=torch.float64)
    value = Softmax()(rows, torch.zeros(4, dtype=torch.int64), vectors)
    assert float(value) == pytest.approx(math.log(classes), abs=1e-12)


def test_log_counts_are_added_for_rows_of_other_classes_only():
    """Equal cosines, counts 2, 3 and 5: a row of class 1 sees 2 + 1 + 5 classes."""
    rows, vectors = torch.ones(1, 3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    log_counts = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64).log()
    value = Softmax()(rows, torch.tensor([1]), vectors, log_counts=log_counts)
    assert float(value) == pytest.approx(math.log(8))
