"""Runs on mined examples: batches without a repeated text."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedkit.data.text.examples import Examples
from embedkit.errors import DataError
from embedkit.training.batch_columns import numbers_of
from embedkit.training.objective import Contrastive
from embedkit.training.settings import SimCSESettings
from embedkit.training.simcse import SimCSE, train_simcse
from tests.embedding.conftest import BUILDERS
from tests.training.running import Killed, killed_at, same, weights
from tests.training.test_simcse import sentence


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture
def settings(tiny, folder):
    """Two epochs of 5 steps: 41 examples, 8 a batch, one left over."""
    return SimCSESettings(
        inputs=("a.jsonl",), model=tiny, batch_size=8, epochs=2.0, learning_rate=1e-3, precision="fp32",
        eval_steps=2, log_steps=1,
    )  # fmt: skip


def mined(rows=41, anchors=20):
    """Examples as `mine` writes them: an anchor in two rows, one to three negatives, some of them shared."""
    return Examples(
        ("query", "positive", "negatives"),
        [
            (
                sentence(row % anchors),
                sentence(100 + row),
                *(sentence(200 + (row + place) % 30) for place in range(1 + row % 3)),
            )
            for row in range(rows)
        ],
    )


def test_no_batch_has_a_text_twice_whatever_the_number_of_negatives(settings, monkeypatch):
    seen = []

    def forward(self, sentence_features, labels=None):
        columns = [numbers_of(features).tolist() for features in sentence_features]
        seen.append([set(row) for row in zip(*columns, strict=True)])
        return (self.model(dict(next(iter(sentence_features))))["sentence_embedding"] ** 2).mean()

    monkeypatch.setattr(Contrastive, "forward", forward)
    train_simcse("plain", settings, mined())
    plain, seen = seen, []
    monkeypatch.setattr(Contrastive, "forward", forward)
    train_simcse("distinct", replace(settings, distinct=True), mined())

    def repeats(batch):
        return sum(map(len, batch)) - len(set().union(*batch))

    assert len(plain) == len(seen) == 10
    assert any(map(repeats, plain))
    assert not any(map(repeats, seen))


@pytest.mark.parametrize("step", [3, 7])
def test_batches_without_repeats_resume_to_the_same_weights(settings, step):
    settings = replace(settings, distinct=True)
    train_simcse("whole", settings, mined())
    with pytest.raises(Killed):
        train_simcse("out", settings, mined(), watch=killed_at(step))
    train_simcse("out", settings, mined(), resume=True)
    assert same(weights("out"), weights("whole"))


def test_examples_that_cannot_make_such_batches_are_refused_before_a_model_is_loaded(settings, caplog):
    repeated = Examples(("a", "b"), [("the same", sentence(row)) for row in range(20)])
    with pytest.raises(DataError, match="no more than 1 examples without a common text"):
        train_simcse("out", replace(settings, distinct=True, model="none"), repeated)
    SimCSE(replace(settings, distinct=True), mined(anchors=9)).advise()
    assert "are left out of the first epoch" in caplog.text
    assert not Path("out.partial").exists()
