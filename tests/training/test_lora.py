"""LoRA: the frozen weights stay, what is trained is merged, and a killed run resumes to the same."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embedkit.data.text.examples import Examples
from embedkit.embedding.loading import load
from embedkit.errors import MissingPackageError
from embedkit.training.gradient_check import check_exact
from embedkit.training.scoring import PairScore
from embedkit.training.simcse import SimCSE, train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from tests.training.running import Killed, killed_at, same, weights
from tests.training.test_simcse import PAIRS, SENTENCES, tiny

__all__ = ["tiny"]  # a fixture


@pytest.fixture
def settings(tiny, folder):
    """Two epochs of 5 steps, of matrices of rank 2 alone."""
    return SimCSESettings(
        inputs=("a.txt",), model=tiny, batch_size=8, epochs=2.0, learning_rate=1e-2, precision="fp32",
        eval_steps=2, log_steps=1, lora=2,
    )  # fmt: skip


def test_what_comes_out_is_a_model_like_any_other(settings):
    from sentence_transformers import SentenceTransformer

    train_simcse("out", settings, SENTENCES, PAIRS)
    base, trained = weights(settings.model), weights("out")
    assert base.keys() == trained.keys()
    texts = [row[0] for row in SENTENCES.rows[:5]]
    plain = SentenceTransformer("out", device="cpu").encode(texts)
    np.testing.assert_allclose(load("out", runtime="torch").encode(texts), plain, atol=1e-6)
    before = load(settings.model, runtime="torch").encode(texts)
    assert np.abs(plain - before).max() > 1e-3


def test_linear_layers_change_by_the_rank_and_nothing_else_does(settings):
    train_simcse("out", settings, SENTENCES)
    base, trained = weights(settings.model), weights("out")
    changed = {name for name in base if not torch.equal(base[name], trained[name])}
    assert changed
    assert all(name.endswith(".weight") and base[name].ndim == 2 for name in changed)
    assert not any("embeddings" in name for name in changed)
    for name in changed:
        values = torch.linalg.svdvals((trained[name] - base[name]).double())
        assert values[2] < 1e-5 * values[0] < values[1]


@pytest.mark.parametrize("step", [1, 4, 7])
def test_killed_and_resumed_it_ends_in_the_same_weights(settings, step):
    settings = replace(settings, head=True)
    train_simcse("whole", settings, SENTENCES, PAIRS)
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, PAIRS, watch=killed_at(step))
    train_simcse("out", settings, SENTENCES, PAIRS, resume=True)
    assert same(weights("out"), weights("whole"))


def test_the_kept_checkpoint_is_the_best_ones(settings, monkeypatch):
    """The matrices of the best step are merged, not those of the last; which is the best is given here,
    because the roundings of the processor would decide it.
    """

    def trained(out, **changed):
        values = iter([0.1, 0.3, 0.9, 0.5, 0.4, 0.2])  # before training, and after every second step
        scored = lambda self, *given, **options: {"spearman": next(values), "pearson": 0.0}  # noqa: E731
        monkeypatch.setattr(PairScore, "__call__", scored)
        return train_simcse(out, replace(settings, schedule="constant", **changed), SENTENCES, PAIRS)

    done = trained("best")
    assert (done.best_step, done.steps) == (4, 10)
    trained("there", max_steps=4)
    trained("last", max_steps=2)
    assert same(weights("best"), weights("there"))
    assert not same(weights("best"), weights("last"))


def test_the_gradient_is_exact(settings):
    assert check_exact(SimCSE(settings, SENTENCES)) < 1e-5


def test_checkpoints_hold_the_matrices(settings):
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, watch=killed_at(5))
    names = load_file(Path("out.partial/checkpoints/checkpoint-4/objective.safetensors"))
    assert names
    assert all(".lora_" in name for name in names)


def test_without_the_package_it_is_one_line(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        MissingPackageError, match=r"`lora` needs the package peft; pip install 'embedkit\[lora\]'"
    ):
        train_simcse("out", settings, Examples(SENTENCES.columns, SENTENCES.rows))
