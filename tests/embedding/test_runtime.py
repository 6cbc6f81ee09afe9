"""How texts are divided into batches, on a runtime that only counts tokens."""

import threading

import numpy as np
import pytest

from embedkit.embedding.runtime import compute
from embedkit.embedding.tokens import Tokens


class Counting:
    """A vector is the number of a text's tokens; the rows of every batch are kept."""

    pad_id, dimension, token_budget, shortest, pads, known_ids, at_once = 0, 1, 100, 1, True, None, 2

    def __init__(self):
        self.batches = []

    def tokenize(self, texts):
        return [Tokens(np.ones(len(text), np.int64)) for text in texts]

    tokenize.unknown_id = None

    def run(self, batches):
        for batch in batches:
            self.batches.append(batch.rows.tolist())
            yield batch.rows, batch.attention_mask.sum(axis=1, keepdims=True).astype(np.float32)


@pytest.mark.parametrize(
    ("lengths", "batches", "sizes"),
    [
        ([5] * 8, 1, [8]),
        ([5] * 8, 2, [4, 4]),
        ([5] * 8, 3, [2, 2, 2, 2]),
        ([5], 2, [1]),
        ([9, 1], 2, [1, 1]),
        ([50] * 8, 2, [2, 2, 2, 2]),  # by the budget of tokens
    ],
)
def test_few_texts_are_divided_so_that_they_are_computed_at_the_same_time(lengths, batches, sizes):
    runtime = Counting()
    texts = [f"{place:x}".ljust(length, "x") for place, length in enumerate(lengths)]
    vectors = compute(runtime, texts, threading.Lock(), batches)
    assert vectors[:, 0].tolist() == lengths
    assert [len(rows) for rows in runtime.batches] == sizes
    assert sorted(row for rows in runtime.batches for row in rows) == list(range(len(lengths)))


def test_equal_texts_are_computed_once():
    runtime = Counting()
    vectors = compute(runtime, ["ab", "c", "ab", "ab", "c", "def"], threading.Lock())
    assert vectors[:, 0].tolist() == [2, 1, 2, 2, 1, 3]
    assert sum(map(len, runtime.batches)) == 3
