"""Batches without a repeated text: what must hold of every batch, and the order of the plain sampler where
nothing is repeated.
"""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError
from embedkit.training import batch_sampling
from embedkit.training.batch_sampling import Distinct, Shuffled, distinct_batches, generator_of, numbered

some_rows = st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=4, max_size=60)


def batches_of(texts, size, epoch=0, seed=0):
    return list(distinct_batches(texts, size, generator_of(seed, epoch)))


def shared(texts, batch):
    """The texts that two rows of a batch share, by comparing all pairs of rows."""
    rows = [set(texts[row].tolist()) for row in batch]
    return [one & two for place, one in enumerate(rows) for two in rows[place + 1 :] if one & two]


@given(some_rows, st.integers(2, 6), st.integers(0, 3))
def test_no_two_rows_of_a_batch_share_a_text(rows, size, epoch):
    texts = np.array(rows)
    try:
        batches = batches_of(texts, size, epoch)
    except DataError:
        return  # test_what_cannot_be_filled_is_refused holds when
    assert [len(batch) for batch in batches] == [size] * (len(rows) // size)
    assert all(len(set(batch)) == size for batch in batches)
    assert not any(shared(texts, batch) for batch in batches)
    assert batches == batches_of(texts, size, epoch)


@given(st.integers(4, 50), st.integers(2, 6), st.integers(0, 3))
def test_without_repeated_texts_the_order_is_the_plain_samplers(rows, size, epoch):
    texts = np.arange(3 * rows).reshape(rows, 3)
    plain = Shuffled(range(rows), batch_size=size, drop_last=True, seed=7)
    plain.set_epoch(epoch)
    assert batches_of(texts, size, epoch, seed=7) == list(plain)


def test_a_row_that_waits_is_in_a_later_batch():
    """20 anchors with 5 rows each, 10 a batch: every row has a place, so each is used once per epoch."""
    texts = numbered([(f"anchor {row % 20}", f"positive {row}", f"negative {row}") for row in range(100)])
    for epoch in range(5):
        used = list(chain(*batches_of(texts, 10, epoch)))
        assert len(set(used)) >= 95  # rows of one anchor may be the last ones, and more than the batches left
    assert batches_of(texts, 10, 0) != batches_of(texts, 10, 1)


def test_every_row_is_used_where_room_is_ample():
    """Two rows per anchor: a row that waits is at most one batch late, except at the end."""
    texts = numbered([(f"anchor {row % 500}", f"positive {row}") for row in range(1000)])
    used = list(chain(*batches_of(texts, 10)))
    assert len(used) == 1000
    assert len(set(used)) >= 998


def test_rows_of_a_frequent_text_are_as_many_as_batches():
    """90 of 100 rows share a text: each of the 10 batches has one of them, and rows that are used again."""
    texts = numbered([(f"anchor {max(row, 89)}", f"positive {row}") for row in range(100)])
    batches = batches_of(texts, 10)
    assert [sum(row < 90 for row in batch) for batch in batches] == [1] * 10
    assert len({row for batch in batches for row in batch if row < 90}) == 10
    assert batch_sampling.left_out(texts, 10, seed=0) == 80


def test_what_cannot_be_filled_is_refused():
    texts = numbered([("the same", f"positive {row}") for row in range(20)] + [("other", "one")])
    with pytest.raises(DataError) as caught:
        batches_of(texts, 3)
    assert str(caught.value) == (
        "`distinct`: no more than 2 examples without a common text were found, of 3 for a batch; "
        "lower `batch_size`, or give more examples"
    )


def test_processes_share_the_batches_of_one(monkeypatch):
    texts = numbered([(f"anchor {row % 40}", f"positive {row}") for row in range(100)])
    made = {"drop_last": True, "seed": 3, "texts": texts}
    alone = list(Distinct(range(100), batch_size=8, **made))
    monkeypatch.setattr(batch_sampling, "processes", lambda: 2)
    each = Distinct(range(100), batch_size=4, **made)
    parts = list(each)
    assert len(parts) == len(each) == 2 * len(alone)
    assert [one + two for place, (one, two) in enumerate(pairwise(parts)) if place % 2 == 0] == alone


def test_many_rows_that_wait_take_no_longer_than_the_rest(monkeypatch):
    """Half of the rows share a text: a batch looks at the head of their queue, not at all of them."""
    rows, size, looked = 4000, 20, []
    texts = numbered([(f"anchor {max(row, rows // 2)}", f"positive {row}") for row in range(rows)])
    plain = batch_sampling._Batch.take

    def counting(self, row):
        looked.append(row)
        return plain(self, row)

    monkeypatch.setattr(batch_sampling._Batch, "take", counting)
    batches = batches_of(texts, size)
    assert len(batches) == rows // size
    assert len(looked) < 3 * rows
