"""Pretraining from end to end on tiny models: what comes out, killed and resumed, continued, refused."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from embedkit.data.arrays import unit_vectors
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError, MismatchError, ModelError, UnknownNameError, UsageError
from embedkit.training.gradient_check import check_exact
from embedkit.training.pretraining.corpus import Corpus
from embedkit.training.pretraining.prediction_head import HEAD
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.pretraining.pretraining import Pretraining, pretrain
from embedkit.training.toml import read_toml
from tests.training.pretraining.conftest import PAIRS, TEXTS, sentence
from tests.training.running import Killed, killed_at, log, same, weights

SCORED = [Pair(sentence(seed), sentence(seed + seed % 3), float(seed % 3)) for seed in range(20)]


def test_what_comes_out_is_an_encoder_and_its_story(settings):
    from sentence_transformers import SentenceTransformer

    done = pretrain("out", settings, TEXTS, SCORED)
    assert (done.steps, done.measure, done.factor) == (6, "perplexity", 1.0)
    scored = {line["step"]: line["eval_perplexity"] for line in log("out") if "eval_perplexity" in line}
    assert sorted(scored) == [0, 2, 4, 6]
    assert done.before == scored[0] > done.best == min(scored.values()) == scored[done.best_step]
    spearman = {line["step"]: line["eval_spearman"] for line in log("out") if "eval_spearman" in line}
    assert done.found == {"Spearman before": spearman[0], "Spearman after": spearman[done.best_step]}
    texts = [sentence(seed) for seed in range(5)]
    plain = SentenceTransformer("out", device="cpu").encode(texts)
    np.testing.assert_allclose(load("out", runtime="torch").encode(texts), plain, atol=1e-5)
    story = orjson.loads(Path("out/embedkit.json").read_bytes())
    assert (story["made by"], story["examples"], story["held_out"]) == ("embedkit pretrain", 52, 8)
    assert story["base"]["model"] == "random bert:layers=1,width=16,heads=2"
    card = Path("out/README.md").read_text()
    assert "masked language modelling, 15% of the words" in card
    assert "base_model:" not in card
    assert sentence(0) not in card
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_a_model_learns_the_grammar_of_its_corpus(settings):
    long = replace(settings, max_steps=150, eval_steps=150, learning_rate=1e-2, warmup=0.1)
    done = pretrain("out", long, TEXTS)
    assert done.best < 0.4 * done.before


@pytest.mark.parametrize("corpus", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_a_killed_run_resumes_to_the_same_weights(settings, corpus):
    pretrain("whole", settings, corpus)
    with pytest.raises(Killed):
        pretrain("killed", settings, corpus, watch=killed_at(5))
    pretrain("killed", settings, corpus, resume=True)
    assert same(weights("whole"), weights("killed"))
    assert Path("whole", HEAD).read_bytes() == Path("killed", HEAD).read_bytes()
    assert [line["step"] for line in log("whole")] == [line["step"] for line in log("killed")]


def test_a_changed_corpus_does_not_resume(settings):
    with pytest.raises(Killed):
        pretrain("out", settings, TEXTS, watch=killed_at(3))
    with pytest.raises(MismatchError, match=r"^out.partial: the corpus of a.txt changed"):
        pretrain("out", settings, Corpus(TEXTS.rows[:-1]), resume=True)


def test_train_toml_repeats_the_run(settings):
    pretrain("out", settings, TEXTS)
    again = PretrainSettings(**read_toml("out/train.toml", PretrainSettings))
    pretrain("again", again, TEXTS)
    assert same(weights("out"), weights("again"))
    pretrain("other", replace(again, seed=1), TEXTS)
    assert not same(weights("out"), weights("other"))


def test_another_run_continues_with_the_head(settings):
    first = pretrain("first", settings, TEXTS)
    continued = replace(settings, model="first", arch=None, vocabulary_size=None)
    second = pretrain("second", continued, TEXTS)
    assert second.before == pytest.approx(first.best, rel=1e-5)


def test_a_model_without_a_head_gets_a_new_one_and_a_fall_is_said(settings, caplog):
    pretrain("first", replace(settings, max_steps=1), TEXTS)
    Path("first", HEAD).unlink()
    caplog.set_level(logging.INFO, "embedkit")
    continued = replace(settings, model="first", arch=None, vocabulary_size=None, eval="dev.tsv")
    encoder = load("first", runtime="torch")
    texts = [sentence(seed) for seed in range(20)]
    unit = unit_vectors(encoder.encode(texts))
    close = (unit @ unit.T)[np.triu_indices(20, 1)]
    places = list(zip(*np.triu_indices(20, 1), strict=True))
    own = [Pair(texts[a], texts[b], float(score)) for (a, b), score in zip(places, close, strict=True)]
    done = pretrain("out", continued, TEXTS, own)
    assert any("has no head for masked tokens" in message for message in caplog.messages)
    assert done.found["Spearman before"] == pytest.approx(1, abs=0.01)  # ties
    falls = [message for message in caplog.messages if message.startswith("Spearman on dev.tsv fell from")]
    assert len(falls) == (done.found["Spearman after"] < done.found["Spearman before"])


def test_a_model_continues_by_lora_which_is_merged(settings):
    first = pretrain("first", replace(settings, max_steps=1), TEXTS)
    continued = replace(
        settings, model="first", arch=None, vocabulary_size=None, lora=2, gradient_penalty=0.1
    )
    whole = pretrain("whole", continued, TEXTS)
    assert whole.before == pytest.approx(first.best, rel=1e-5)
    assert whole.best < whole.before
    base, trained = weights("first"), weights("whole")
    assert base.keys() == trained.keys()
    assert {
        "layers" if "layer" in name else name for name in base if not torch.equal(base[name], trained[name])
    } == {"layers"}
    with pytest.raises(Killed):
        pretrain("killed", continued, TEXTS, watch=killed_at(5))
    pretrain("killed", continued, TEXTS, resume=True)
    assert same(trained, weights("killed"))
    assert Path("whole", HEAD).read_bytes() == Path("killed", HEAD).read_bytes()
    again = pretrain("again", replace(continued, model="whole", lora=None, gradient_penalty=0.0), TEXTS)
    assert again.before == pytest.approx(whole.best, rel=1e-5)


def test_a_killed_run_in_bf16_resumes_to_the_same_weights(settings):
    settings = replace(settings, precision="bf16", gradient_penalty=0.1, chunk_size=3)
    done = pretrain("whole", settings, TEXTS)
    with pytest.raises(Killed):
        pretrain("killed", settings, TEXTS, watch=killed_at(5))
    pretrain("killed", settings, TEXTS, resume=True)
    assert same(weights("whole"), weights("killed"))
    assert all(value.dtype == torch.float32 for value in weights("whole").values())
    plain = pretrain("plain", replace(settings, precision="fp32"), TEXTS)
    assert not same(weights("whole"), weights("plain"))
    assert done.best == pytest.approx(plain.best, rel=0.05)  # bfloat16 keeps 8 bits of each value


def test_the_gradient_in_chunks_is_that_of_the_whole_batch(settings):
    for corpus in (TEXTS, PAIRS):
        assert check_exact(Pretraining(settings, corpus)) < 1e-5


def test_the_loss_is_the_mean_over_hidden_tokens_of_the_scores_of_all_tokens(settings):
    from embedkit.training.pretraining.masking import NO_TARGET
    from embedkit.training.run import start_of

    recipe = Pretraining(replace(settings, dropout=0.0, attention_dropout=0.0), TEXTS)
    Path("run").mkdir()
    recipe.base.make(Path("run/base"))
    objective = start_of(recipe, recipe.rows(), Path("run/base"), resumed=False).objective
    rows = recipe.rows()[:8]
    features = objective.model.preprocess(rows["text0"])
    found = objective([dict(features)], torch.tensor(rows["label"]))
    hidden = objective.hidden([features], torch.tensor(rows["label"]), 1)
    targets = hidden.pop("targets")
    network = objective.model[0].auto_model
    names = ("input_ids", "attention_mask")
    vectors = network(**{name: hidden[name] for name in names}).last_hidden_state
    scores = objective.prediction(vectors, network.get_input_embeddings().weight).log_softmax(dim=-1)
    losses = [
        -float(scores.detach()[row, place, targets[row, place]])
        for row, place in (targets != NO_TARGET).nonzero().tolist()
    ]
    assert float(found.detach()) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "rows", "error", "message"),
    [
        ({}, 1, DataError, r"pretraining needs at least 9 different texts, got 1; lower `holdout`"),
        ({"holdout": 0.02}, 1, DataError, r"pretraining needs at least 2 different texts, got 1; give more"),
        ({"holdout": 0.02}, 6, UsageError, r"`batch_size=8`: exceeds the 5 examples; lower it"),
        ({"model": "hash"}, 60, UsageError, r"`arch`: is for a new model"),
        ({"model": "hash", "arch": None, "vocabulary_size": None}, 60, ModelError, "hash: hashed n-grams"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(settings, changes, rows, error, message):
    with pytest.raises(error, match=f"^{message}"):
        pretrain("out", replace(settings, **changes), Corpus(TEXTS.rows[:rows]))
    assert not Path("out.partial").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": "bytes"}, "`tokens`: unknown tokens 'bytes'"),
        ({"arch": "bret"}, "unknown architecture kind 'bret'; did you mean bert?"),
        ({"vocabulary": "replace"}, "`vocabulary`: changes a model's vocabulary; name a `model`"),
        ({"lora": 4}, "`lora`: trains no embeddings, which a new model needs; omit it"),
        (
            {"lora": 4, "model": "minilm", "vocabulary": "extend"},
            "`lora`: trains no embeddings, which a new voc",
        ),
        ({"mask_share": 1.0}, "`mask_share`: must be above 0 and below 1"),
        ({"holdout": 1.5}, "`holdout`: must be"),
        ({"vocabulary_size": 5}, "`vocabulary_size`: must be at least 6"),
        ({"pooling": "cls"}, "`pooling=cls`: a new model has mean pooling"),
        ({"columns": ("a", "b", "c")}, "`columns`: names one column of text, or two of pairs"),
        ({"model": "minilm", "tokens": "words"}, "`tokens`: is for a vocabulary that is learnt"),
        ({"model": "minilm", "vocabulary": "extend", "lowercase": True}, "`lowercase`: is for a vocabulary"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises((UsageError, UnknownNameError)) as raised:
        PretrainSettings(**changes)
    assert str(raised.value).startswith(message)


def test_held_out_texts_are_not_trained_on(settings):
    twice = Pretraining(settings, Corpus(TEXTS.rows * 2))
    train, held_out = twice.parts
    assert len(held_out) == 8
    assert not set(train) & set(held_out)
    assert set(train) | set(held_out) == set(TEXTS.rows)


def test_a_head_of_another_version_is_refused(settings):
    from safetensors.torch import load_file, save_file

    pretrain("first", replace(settings, max_steps=1), TEXTS)
    head = load_file(f"first/{HEAD}")
    continued = replace(settings, model="first", arch=None, vocabulary_size=None)
    save_file(head, f"first/{HEAD}", {"format": "embedkit-head 2"})
    with pytest.raises(
        FormatError, match=r"is embedkit-head 2, expected embedkit-head 1; delete it to train"
    ):
        pretrain("out", continued, TEXTS)
    Path("first", HEAD).write_bytes(b"not a head")
    with pytest.raises(FormatError, match=rf"first/{HEAD}: is damaged: "):
        pretrain("out", continued, TEXTS)
    assert not Path("out.partial").exists()


def test_a_run_that_was_killed_before_its_first_step_starts_anew_with_other_settings(settings):
    pretrain("plain", settings, TEXTS)
    with pytest.raises(Killed):
        pretrain("out", replace(settings, vocabulary_size=30), TEXTS, watch=killed_at(1))
    for name in ("train.toml", "log.jsonl"):  # as they are before the first step
        Path("out.partial", name).unlink()
    pretrain("out", settings, TEXTS)
    assert same(weights("out"), weights("plain"))
    Path("early.partial", ".base.99999999.tmp").mkdir(parents=True)  # it was killed within the base
    pretrain("early", settings, TEXTS)
    assert same(weights("early"), weights("plain"))


def test_a_full_disk_is_one_line_and_the_run_continues(settings, monkeypatch):
    pretrain("plain", settings, TEXTS)
    save = torch.save

    def full(state, path):
        if "checkpoint-4" in str(path):
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 6336 vs 6228")
        save(state, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(DataError, match="a checkpoint cannot be written: "):
            pretrain("out", settings, TEXTS)
    pretrain("out", settings, TEXTS, resume=True)
    assert same(weights("out"), weights("plain"))
