"""Texts to ids and ids to padded batches: very long texts give the same ids as when they are read whole."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest

from embedkit.embedding.tokens import FastTokenizer, Tokens, pad
from tests.embedding.conftest import WORDS, byte_pairs, word_pieces


def truncating(backend: Any, length: int, direction: str = "right") -> Any:
    backend.enable_truncation(length, direction=direction)
    return backend


def long_text(seed: int, characters: int) -> str:
    generator = random.Random(seed)
    alphabets = [*WORDS, "中", "文", "é", "🙂", "\n", "x" * 30, "?!", "İ"]
    words: list[str] = []
    while sum(map(len, words)) < characters:
        words += generator.choices(alphabets, k=500)
    return generator.choice((" ", "")).join(words)


@pytest.mark.parametrize("make", [word_pieces, byte_pairs])
@pytest.mark.parametrize("length", [4, 48, 512])
def test_long_texts_give_the_ids_of_the_whole_text(make: Any, length: int) -> None:
    texts = [long_text(seed, 20_000) for seed in range(12)]
    texts.append(" " * 4093 + "quick brown fox")  # a word that goes on where the beginning of a text ends
    texts += ["x" * 30_000, "中" * 30_000, " " * 30_000, "fox", ""]
    backend = truncating(make(), length)
    whole = [encoding.ids for encoding in backend.encode_batch(texts)]
    assert [text.ids.tolist() for text in FastTokenizer(backend)(texts)] == whole


def test_truncation_from_the_left_reads_the_end_of_long_texts() -> None:
    text = "fox " * 100 + " " * 10_000 + "dog"
    backend = truncating(word_pieces(), 4, "left")
    ((ids, _),) = FastTokenizer(backend)([text])
    assert ids.tolist() == backend.encode(text).ids
    assert backend.token_to_id("dog") in ids


def test_a_text_of_millions_of_characters_costs_no_more_than_its_beginning() -> None:
    tokenizer = FastTokenizer(truncating(word_pieces(), 128))
    text = "the quick brown fox " * 500_000  # 10 million characters, seconds and a gigabyte if read whole
    start = time.process_time()
    ((ids, _),) = tokenizer([text])
    cut, start = time.process_time() - start, time.process_time()
    FastTokenizer(word_pieces())([text[: len(text) // 10]])
    assert len(ids) == 128
    assert cut < time.process_time() - start


def test_without_truncation_everything_is_read() -> None:
    ((ids, _),) = FastTokenizer(word_pieces())(["fox " * 9000])
    assert len(ids) == 9002


def test_padding_is_on_the_right_and_masked() -> None:
    batch = pad([Tokens(np.array([5, 6, 7])), Tokens(np.array([8]))], np.array([4, 2]), pad_id=9)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.rows.tolist() == [4, 2]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64


def test_a_text_without_tokens_attends_to_one_padding_token() -> None:
    batch = pad([Tokens(np.array([], dtype=np.int64))], np.array([0]), pad_id=9)
    assert (batch.input_ids.tolist(), batch.attention_mask.tolist()) == ([[9]], [[1]])
