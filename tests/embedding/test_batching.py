"""Windows and batches: nothing lost, nothing out of order, no more than two windows held."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.identity import Identity
from embedkit.data.text.record import Record
from embedkit.embedding.batching import WINDOW_CHARACTERS, WINDOW_ROWS, encode_records, windows
from embedkit.embedding.encoder import Role, Vectors
from embedkit.embedding.runtime import token_batches


class Counting:
    """An encoder whose vectors are the number in the text and its role; counts what it is given."""

    identity = Identity(model="counting", fingerprint="0" * 16, dimension=2, normalized=False)

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        self.sizes.append(len(texts))
        return np.array([[int(text), role == "query"] for text in texts], dtype=np.float32)


def numbered(count: int) -> Iterator[Record]:
    return (Record(f"id{number}", str(number), {}) for number in range(count))


@given(st.lists(st.integers(0, 600), max_size=200), st.integers(1, 2000))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    for batch in batches:
        longest = max(1, *(lengths[row] for row in batch), 1)
        assert len(batch) * longest <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 100), min_size=2, max_size=200), st.integers(100, 2000))
def test_no_batch_could_have_taken_the_next_row(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@given(st.integers(0, 12_000), st.integers(1, 5000), st.none() | st.integers(1, 5000))
def test_windows_keep_order_and_stop_at_blocks(count: int, first: int, block: int | None) -> None:
    found = list(windows(numbered(count), first=first, block=block))
    assert [record.text for window in found for record in window] == [str(number) for number in range(count)]
    ends = np.cumsum([len(window) for window in found])
    for window, end in zip(found, ends, strict=True):
        assert 1 <= len(window) <= WINDOW_ROWS
        if block:
            assert (end - len(window)) // block == (end - 1) // block
    assert not found or len(found[0]) == min(first, count, block or count, WINDOW_ROWS)


def test_work_taken_up_at_a_block_meets_the_same_windows() -> None:
    whole = [window[0].id for window in windows(numbered(20_000), block=6000)]
    rest = [window[0].id for window in windows(list(numbered(20_000))[12_000:], block=6000)]
    assert rest == [start for start in whole if int(start[2:]) >= 12_000]


def test_long_texts_make_short_windows() -> None:
    records = [Record(str(n), "x" * (WINDOW_CHARACTERS // 2), {}) for n in range(5)]
    assert [len(window) for window in windows(records)] == [2, 2, 1]


@pytest.mark.parametrize("role", ["document", "query"])
def test_vectors_come_in_the_order_of_the_records(role: Role) -> None:
    encoder = Counting()
    parts = list(encode_records(encoder, numbered(10_001), role, first=10))
    vectors = np.concatenate([part.vectors for part in parts])
    assert vectors[:, 0].tolist() == list(range(10_001))
    assert set(vectors[:, 1]) == {float(role == "query")}
    assert [record.id for part in parts for record in part.records] == [f"id{n}" for n in range(10_001)]
    assert encoder.sizes[0] == 10
    assert max(encoder.sizes) <= WINDOW_ROWS


def test_no_more_than_two_windows_are_read_ahead() -> None:
    read = 0

    def endless() -> Iterator[Record]:
        nonlocal read
        while True:
            read += 1
            yield Record(str(read), str(read), {})

    stream = encode_records(Counting(), endless(), first=100, block=100)
    for number in range(1, 20):
        next(stream)
        assert read <= (number + 1) * 100
    stream.close()


def test_windows_are_encoded_side_by_side() -> None:
    """Two windows are under way at once: the second begins before the first is done."""
    both = threading.Barrier(2, timeout=20)

    class Meeting(Counting):
        def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
            both.wait()
            return super().encode(texts, role)

    assert len(list(encode_records(Meeting(), numbered(200), first=100, block=100))) == 2


def test_an_encoders_error_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(encode_records(Counting(), [Record("1", "not a number", {})]))


def test_nothing_in_nothing_out() -> None:
    assert list(encode_records(Counting(), [])) == []
    assert list(token_batches([], 10)) == []
