"""Runs on mined examples: batches without a repeated text, and false negatives masked by a guide."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedkit.data.text.examples import Examples
from embedkit.errors import DataError, EmbedkitError, FormatError, UsageError
from embedkit.training.batch_columns import numbers_of
from embedkit.training.gradient_check import check_exact
from embedkit.training.objective import Contrastive
from embedkit.training.settings import SimCSESettings
from embedkit.training.simcse import SimCSE, train_simcse
from tests.embedding.conftest import BUILDERS
from tests.training.running import Killed, killed_at, log, same, weights
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


@pytest.mark.parametrize("step", [3, 7])
@pytest.mark.parametrize("guide", ["self", "hash:dim=64"])
def test_guided_runs_resume_to_the_same_weights(settings, guide, step):
    settings = replace(settings, guide=guide, guide_margin=0.2)
    train_simcse("whole", settings, mined())
    with pytest.raises(Killed):
        train_simcse("out", settings, mined(), watch=killed_at(step))
    train_simcse("out", settings, mined(), resume=True)
    assert same(weights("out"), weights("whole"))
    assert not list(Path("out").glob("*.npy"))
    train_simcse("plain", replace(settings, guide=None, guide_margin=0.0), mined())
    assert log("plain")[0]["loss"] > log("out")[0]["loss"]  # some candidates were masked


def test_a_guided_gradient_is_exact_on_the_users_model(settings):
    assert check_exact(SimCSE(replace(settings, guide="self"), mined())) < 1e-5


def test_a_guide_that_changed_on_disk_is_one_line(settings):
    settings = replace(settings, guide="self")
    with pytest.raises(Killed):
        train_simcse("out", settings, mined(), watch=killed_at(3))
    Path("out.partial/guide.npy").write_bytes(b"")
    with pytest.raises(FormatError, match=r"^out\.partial/guide\.npy: has changed since it was written"):
        train_simcse("out", settings, mined(), resume=True)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"guide": "none"}, "`guide`: unknown model 'none'"),
        ({"guide_margin": 0.1}, "`guide_margin`: needs a guide; name an encoder as the `guide`"),
        (
            {"guide": "self", "guide_margin": -1.0},
            "guide_margin must be at least 0 and less than 2, got -1.0",
        ),
    ],
)
def test_a_guide_that_cannot_be_is_one_line(settings, given, line):
    with pytest.raises(EmbedkitError) as caught:
        train_simcse("out", replace(settings, **given), mined())
    assert line in str(caught.value)


def test_sentences_have_nothing_for_a_guide_to_mask(settings):
    sentences = Examples(("text",), [(sentence(row),) for row in range(20)])
    with pytest.raises(UsageError, match="masks nothing among sentences"):
        train_simcse("out", replace(settings, guide="self"), sentences)
    done = train_simcse("out", replace(settings, guide="self", guide_margin=0.1), sentences)
    assert done.steps == 4
