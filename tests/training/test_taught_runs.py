"""Runs on mined examples: batches without a repeated text, false negatives masked by a guide, teachers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from embedkit.data.text.examples import Examples
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.errors import DataError, EmbedkitError, FormatError, MismatchError, UsageError
from embedkit.training.batch_columns import numbers_of
from embedkit.training.gradient_check import check_exact
from embedkit.training.objective import Contrastive
from embedkit.training.simcse import SimCSE, train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from embedkit.training.toml import read_toml
from tests.embedding.conftest import BUILDERS
from tests.training.running import KeptRuns, Killed, killed_at, log, same, until_killed, weights
from tests.training.test_simcse import sentence


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return KeptRuns(tmp_path_factory.mktemp("kept"))


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
def test_batches_without_repeats_resume_to_the_same_weights(settings, kept, step):
    settings = replace(settings, distinct=True)
    kept.copied("distinct", lambda: train_simcse("whole", settings, mined()))
    until_killed(train_simcse, settings, mined(), step=step)
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
def test_guided_runs_resume_to_the_same_weights(settings, kept, guide, step):
    plainly, settings = settings, replace(settings, guide=guide, guide_margin=0.2)
    kept.copied(guide, lambda: train_simcse("whole", settings, mined()))
    until_killed(train_simcse, settings, mined(), step=step)
    train_simcse("out", settings, mined(), resume=True)
    assert same(weights("out"), weights("whole"))
    assert not list(Path("out").glob("*.npy"))
    kept.copied("plain", lambda: train_simcse("plain", plainly, mined()))
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


def scored(examples, seed=0):
    """The examples with a teacher's scores."""
    chance = np.random.default_rng(seed)
    scores = [tuple(sorted(chance.normal(size=len(row) - 1), reverse=True)) for row in examples.rows]
    return replace(examples, scores=scores)


TAUGHT = {
    "scores": {"distill": "kl:teacher_temperature=1", "distill_weight": 0.5},
    "margins of a teacher": {"distill": "margin-mse", "loss": "none", "teacher": "hash:dim=32"},
    "similarities": {"teacher": "self", "distinct": True, "loss": "nt-xent"},
    "vectors": {"distill": "vector-mse", "loss": "none", "teacher": "hash:dim=32"},
}


@pytest.mark.parametrize("case", TAUGHT)
def test_taught_runs_resume_to_the_same_weights(settings, case):
    settings = replace(settings, **TAUGHT[case])
    examples = scored(mined()) if settings.teaches_scores else mined()
    train_simcse("whole", settings, examples)
    with pytest.raises(Killed):
        train_simcse("out", settings, examples, watch=killed_at(5))
    train_simcse("out", settings, examples, resume=True)
    assert same(weights("out"), weights("whole"))
    assert check_exact(SimCSE(settings, examples)) < 1e-5
    taught = {
        "scores": "kl:teacher_temperature=1.0, taught by scores of the examples",
        "margins of a teacher": "margin-mse, taught by hash:dim=32",
        "similarities": "batch-kl, taught by self",
        "vectors": "vector-mse, taught by hash:dim=32",
    }
    assert taught[case] in Path("out/README.md").read_text()
    teacher = load("hash:dim=32").identity.fingerprint if case == "vectors" else None
    assert load("out").identity.teacher == teacher


def test_a_run_whose_scores_changed_is_not_resumed(settings):
    settings = replace(settings, **TAUGHT["scores"])
    with pytest.raises(Killed):
        train_simcse("out", settings, scored(mined()), watch=killed_at(5))
    with pytest.raises(MismatchError, match=r"the training examples of .* changed after the run"):
        train_simcse("out", settings, scored(mined(), seed=1), resume=True)


@pytest.mark.slow
def test_a_student_learns_its_teachers_similarities_of_sentences(settings, caplog):
    """The student has random weights: its cosines of other sentences approach the teacher's."""
    sentences = Examples(("text",), [(sentence(row),) for row in range(400)])
    settings = replace(
        settings, teacher="hash:dim=128", loss="none", epochs=20.0, batch_size=20, eval_steps=1000,
        dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    train_simcse("out", settings, sentences)
    assert "dropout is 0" not in caplog.text  # no view is made by dropout
    texts = [sentence(row) for row in range(1000, 1060)]

    def agreement(model):
        cosines = []
        for encoder in (load(model, runtime="torch"), load("hash:dim=128")):
            unit = unit_length(encoder.encode(texts))
            cosines.append((unit @ unit.T)[np.triu_indices(len(texts), 1)])
        return np.corrcoef(*cosines)[0, 1]

    assert agreement("out") > agreement(settings.model) + 0.1


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"loss": "none"}, "`loss`: none leaves nothing to learn; set `distill`"),
        ({"loss": "none", "temperature": 0.1}, "`temperature`: loss none has no temperature"),
        ({"distill": "batch-kl"}, "`distill`: batch-kl needs a teacher; name a `teacher`"),
        ({"distill": "two-view"}, "`distill`: unknown loss 'two-view'"),
        ({"distill": "kl:temperature=0"}, "kl:temperature=0: temperature=0.0 is not a positive number"),
        ({"distill_weight": 2.0}, "`distill_weight`: applies to the sum of `loss` and `distill`"),
        ({"distill": "kl", "distill_weight": 0.0}, "`distill_weight`: must be above 0, got 0.0"),
        ({"score_columns": ("a", "b")}, "`score_columns`: names scores that are not taught"),
        ({"teacher": "none"}, "`teacher`: unknown model 'none'"),
        ({"distill": "vector-mse"}, "`distill`: vector-mse needs a teacher; name a `teacher`"),
        (
            {"distill": "vector-mse", "teacher": "hash:dim=48"},
            "`teacher=hash:dim=48`: has 48 dimensions and the model has 32, so its vectors cannot be taught",
        ),
        ({"loss": "none", "distill": "kl", "guide": "self"}, "`guide`: loss none takes none"),
    ],
)
def test_teaching_that_cannot_be_is_one_line(settings, given, line):
    with pytest.raises(EmbedkitError) as caught:
        train_simcse("out", replace(settings, **given), mined())
    assert line in str(caught.value)
    assert not Path("out.partial").exists()


def test_sentences_have_no_scores_to_teach(settings):
    sentences = Examples(("text",), [(sentence(row),) for row in range(20)])
    with pytest.raises(UsageError, match="teaches scores of hard negatives, which sentences do not have"):
        train_simcse("out", replace(settings, distill="kl", teacher="self"), sentences)


def test_every_prefix_is_trained_and_recorded(settings):
    """The gradient of two prefixes is the sum of theirs, and the folder records the dimensions."""
    width = load(settings.model).identity.dimension
    settings = replace(settings, dims=(width, 8, 3), dim_weights=(1.0, 0.5, 2.0))
    assert check_exact(SimCSE(settings, mined())) < 1e-5
    train_simcse("whole", settings, mined())
    with pytest.raises(Killed):
        train_simcse("out", settings, mined(), watch=killed_at(5))
    train_simcse("out", settings, mined(), resume=True)
    assert same(weights("out"), weights("whole"))
    assert orjson.loads(Path("out/embedkit.json").read_bytes())["dims"] == [width, 8, 3]
    again = SimCSESettings(**read_toml("out/train.toml", SimCSESettings))
    assert (again.dims, again.dim_weights) == (settings.dims, settings.dim_weights)
    assert load("out", truncate_dim=8).identity.dimension == 8


def test_a_warning_names_dimensions_that_are_not_trained(settings, caplog):
    width = load(settings.model).identity.dimension
    train_simcse("out", replace(settings, dims=(8,), max_steps=1), mined())
    told = (
        f"the loss reads 8 of the model's {width} dimensions, and the others are not trained; add {width} to"
    )
    assert told in caplog.text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"dims": (8, 8)}, "`dims`: must be different numbers of at least 1, got 8,8"),
        ({"dims": (8, 0)}, "`dims`: must be different numbers of at least 1, got 8,0"),
        ({"dims": (4096,)}, "`dims=4096`: exceeds the model's"),
        ({"dims": (8,), "head": True}, "`dims`: does not apply to vectors after a `head`"),
        ({"dims": (8, 4), "dim_weights": (1.0,)}, "`dim_weights`: has 1 weights for 2 `dims`"),
        ({"dims": (8, 4), "dim_weights": (1.0, 0.0)}, "`dim_weights`: must be numbers above 0"),
        ({"dim_weights": (1.0,)}, "`dim_weights`: needs `dims`"),
    ],
)
def test_dimensions_that_cannot_be_are_one_line(settings, given, line):
    with pytest.raises(UsageError) as caught:
        train_simcse("out", replace(settings, **given), mined())
    assert str(caught.value).startswith(line)


def test_truncated_vectors_keep_more_after_matryoshka(settings):
    """A few dimensions of the trained model order pairs more as all of them do than before."""
    sentences = Examples(("text",), [(sentence(row),) for row in range(400)])
    texts = [sentence(row) for row in range(1000, 1060)]
    settings = replace(settings, batch_size=20, epochs=2.0, eval_steps=1000)
    train_simcse("plain", settings, sentences)
    train_simcse("nested", replace(settings, dims=(load(settings.model).identity.dimension, 4)), sentences)

    def kept(model):
        cosines = []
        for dim in (None, 4):
            unit = unit_length(load(model, runtime="torch", truncate_dim=dim).encode(texts))
            cosines.append((unit @ unit.T)[np.triu_indices(len(texts), 1)])
        return np.corrcoef(*cosines)[0, 1]

    assert kept("nested") > kept("plain")
