"""Another vocabulary for a trained model: from where embeddings start, and what does not change."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from embedkit.embedding.loading import load
from embedkit.errors import ModelError
from embedkit.training.pretraining.corpus import Corpus
from embedkit.training.pretraining.new_vocabulary import change_vocabulary
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.pretraining.pretraining import pretrain
from embedkit.training.pretraining.token_origins import from_origins, origins_of
from embedkit.training.pretraining.vocabulary import learn_tokenizer
from tests.embedding.conftest import BUILDERS, WORDS
from tests.training.pretraining.conftest import TEXTS
from tests.training.running import weights

NEW = "stonebridge riverbridge wrote about stonebridge"
CORPUS = Corpus([(f"{NEW} {word}",) for word in WORDS] * 3)
TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture
def copy(folder):
    """A tiny BERT whose embeddings can be changed in place."""
    return BUILDERS["bert"](folder / "bert")


def change(copy, rows=CORPUS.rows, **settings):
    old = AutoTokenizer.from_pretrained(copy), weights(copy)
    counts = change_vocabulary(copy, PretrainSettings(model=str(copy), **settings), rows)
    return *old, AutoTokenizer.from_pretrained(copy), weights(copy), counts


def test_new_pieces_start_from_the_mean_of_their_old_pieces(copy):
    old, before, new, after, counts = change(copy, vocabulary="replace", vocabulary_size=90)
    vocabulary = new.get_vocab()
    assert "stonebridge" in vocabulary
    pieces = old.encode("stonebridge", add_special_tokens=False)
    assert len(pieces) > 1
    expected = np.mean([before[TABLE][piece].numpy() for piece in pieces], axis=0)
    np.testing.assert_allclose(after[TABLE][vocabulary["stonebridge"]], expected, atol=1e-6)
    for role in ("pad_token", "unk_token", "cls_token", "sep_token"):  # it has no mask
        ids = (each.convert_tokens_to_ids(getattr(each, role)) for each in (old, new))
        assert torch.equal(before[TABLE][next(ids)], after[TABLE][next(ids)]), role
    assert counts.after < counts.before
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - {TABLE})


def test_ids_start_from_old_words_of_the_same_rank(copy):
    rows = [(f"{number} " * (200 - number),) for number in range(100, 110)]
    old, before, new, after, _ = change(copy, rows, vocabulary="replace", tokens="words", vocabulary_size=15)
    words = [number for token, number in sorted(old.get_vocab().items(), key=lambda each: each[1])
             if len(token) > 1 and token.isalpha()]  # fmt: skip
    for rank, name in enumerate(map(str, range(100, 110))):
        assert torch.equal(after[TABLE][new.get_vocab()[name]], before[TABLE][words[rank]])


def test_texts_without_new_words_keep_their_vectors_when_the_vocabulary_is_extended(copy):
    texts = [" ".join(WORDS[place : place + 6]) for place in range(0, 40, 3)]
    then = load(str(copy), runtime="torch").encode(texts)
    old, before, new, after, counts = change(copy, vocabulary="extend", vocabulary_size=2)
    np.testing.assert_allclose(load(str(copy), runtime="torch").encode(texts), then, atol=1e-6)
    assert new.tokenize("stonebridge riverbridge") == ["stonebridge", "riverbridge"]
    assert len(new) == len(old) + 2 == len(after[TABLE])
    assert torch.equal(before[TABLE], after[TABLE][: len(old)])
    assert counts.after < counts.before


def test_a_run_with_a_replaced_vocabulary_says_the_tokens_per_text(settings, copy, caplog):
    caplog.set_level(logging.INFO, "embedkit")
    replaced = replace(settings, model=str(copy), arch=None, vocabulary="replace", max_length=None)
    done = pretrain("out", replaced, TEXTS)
    before, after = (done.found[f"tokens per text {name}"] for name in ("before", "after"))
    assert after < before
    assert any(f"{before:.1f} tokens per text before" in message for message in caplog.messages)
    assert load("out").encode(["the cat will mew"]).shape == (1, load(str(copy)).identity.dimension)
    assert not (Path("out") / "vocab.txt").exists()


def test_models_that_count_positions_from_padding_are_refused(folder):
    copy = BUILDERS["roberta"](folder / "roberta")
    with pytest.raises(
        ModelError, match=r"positions of roberta are counted from the id of padding; use `voc"
    ):
        change(copy, vocabulary="replace", vocabulary_size=90)


def test_marks_of_one_tokenizer_are_found_in_another():
    texts = ["bakoti renko bako tiren"] * 5 + ["renbako tiko"] * 5
    old, new = (learn_tokenizer(texts, kind, 60, max_length=9) for kind in ("wordpiece", "unigram"))
    origins = origins_of(old, new)
    for token, number in new.get_vocab().items():
        if token.startswith("\u2581") and token[1:] in old.get_vocab():
            assert origins[number] == [old.get_vocab()[token[1:]]]


def test_means_of_origins():
    values = torch.tensor([[1.0, 3.0], [3.0, 5.0], [8.0, 1.0]])
    found = from_origins(values, [[1], [0, 1], []])
    np.testing.assert_allclose(found, [[3, 5], [2, 4], [4, 3]])
