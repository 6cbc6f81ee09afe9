"""Pairs as one sequence: the tokens of both texts, in either order, within a limit."""

import torch

from embedkit.training.pretraining.joined_pairs import joined
from tests.training.conftest import padded


def join(first, second, swapped, limit=99, left=False):
    found = joined(
        {**padded(first, left=left), "modality": "text"},
        padded(second, left=left),
        torch.tensor(swapped),
        padding=0,
        limit=limit,
    )
    assert found["modality"] == "text"
    real = found["attention_mask"].bool()
    return [row[mask].tolist() for row, mask in zip(found["input_ids"], real, strict=True)]


def test_both_orders_share_one_start():
    first, second = [[2, 11, 3], [2, 12, 13, 3]], [[2, 21, 22, 3], [2, 23, 3]]
    expected = [[2, 11, 3, 21, 22, 3], [2, 23, 3, 12, 13, 3]]
    assert join(first, second, [False, True]) == expected
    assert join(first, second, [False, True], left=True) == expected


def test_texts_without_a_start_keep_their_first_token():
    assert join([[11, 3]], [[12, 3]], [False]) == [[11, 3, 12, 3]]
    assert join([[11, 3]], [[11, 3]], [False]) == [[11, 3, 3]]  # as if 11 were the start


def test_long_texts_are_cut_within_the_limit_and_keep_their_ends():
    long, short = [2, *range(10, 40), 3], [2, 50, 51, 3]
    for limit in (8, 9, 20):
        (row,) = join([long], [short], [False], limit=limit)
        assert len(row) <= limit
        assert row[0] == 2
        assert row.count(3) == 2
