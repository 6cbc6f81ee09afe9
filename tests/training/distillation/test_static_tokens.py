"""Tokenizers of static encoders: words become tokens of their own, and the rest stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import ModelError, UsageError
from embedkit.training.distillation.static_tokens import add_words, frequent_words, read_tokenizer, surfaces
from tests.embedding.static.conftest import LINES, make_tokenizer


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_words_become_tokens(kind):
    tokenizer = make_tokenizer(kind)
    before = tokenizer.get_vocab_size()
    made = add_words(tokenizer, ["cardiomyopathy", "zzz"])
    assert made.get_vocab_size() == before + 2
    assert made.encode("cardiomyopathy", add_special_tokens=False).ids == [before]
    assert made.encode("zzz cardiomyopathy", add_special_tokens=False).ids == [before + 1, before]
    for line in LINES:
        assert made.encode(line).ids == tokenizer.encode(line).ids


def test_other_tokenizers_are_refused():
    with pytest.raises(UsageError, match="`vocabulary`: cannot add words to a BPE tokenizer"):
        add_words(make_tokenizer("bytes"), ["word"])


def test_frequent_words_are_counted_in_the_tokenizers_own_words():
    tokenizer = make_tokenizer()
    texts = (
        ["Zebrafish zebrafish, (zebrafish) swim"] * 2
        + ["qqqq"] * 9
        + ["rare-word the heart"] * 4
        + ["the"] * 50
    )
    found = frequent_words(tokenizer, texts, 10)
    assert found[:2] == ["qqqq", "zebrafish"]  # 9 and 6 times
    assert "rare" not in found  # four times only
    assert not {"the", "heart"} & set(found)  # tokens already
    assert frequent_words(tokenizer, texts, 1) == ["qqqq"]
    assert frequent_words(tokenizer, [], 10) == []


def test_surfaces_have_no_marks():
    tokenizer = make_tokenizer()
    texts = surfaces(tokenizer)
    assert len(texts) == tokenizer.get_vocab_size()
    for token, number in tokenizer.get_vocab().items():
        if token.startswith("##"):
            assert texts[number] == token[2:]
    for special in ("[PAD]", "[CLS]", "[MASK]"):
        assert texts[tokenizer.token_to_id(special)] == ""
    assert texts[tokenizer.token_to_id("the")] == "the"
    pieces = make_tokenizer("unigram")
    texts = surfaces(pieces)
    marked = {
        token: number
        for token, number in pieces.get_vocab().items()
        if token.startswith("▁") and token != "▁"
    }
    assert len(marked) > 5
    assert all(texts[number] == token[1:] for token, number in marked.items())


def test_a_tokenizer_is_read_without_special_tokens(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path, where="m")
    assert read.encode(LINES[0]).ids == make_ids(tmp_path, LINES[0])
    with pytest.raises(ModelError, match=r"m: has no tokenizer\.json"):
        read_tokenizer(tmp_path / "none", where="m")


def make_ids(folder, text) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert len(np.unique(ids)) > 3
    return ids
