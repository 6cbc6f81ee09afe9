"""Training on labels from end to end on a tiny model: what comes out, killed and resumed, refused."""

import logging
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file

from embedkit.data.text.labelled import Labelled, LabelledText
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.embedding.loading import load
from embedkit.errors import DataError, DivergedError, EmbedkitError, UsageError
from embedkit.training.amsoftmax import AMSoftmaxRecipe, train_amsoftmax
from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
from embedkit.training.gradient_check import check_exact
from embedkit.training.seeds import train_seeds
from embedkit.training.toml import read_toml
from tests.embedding.conftest import BUILDERS, WORDS
from tests.training.running import KeptRuns, Killed, killed_at, log, same, until_killed, weights

NAMES = ("ant", "bee", "cat", "dog", "eel")


def text(label, seed):
    """Words of which most are the label's own."""
    own = WORDS[3 * label : 3 * label + 3]
    return " ".join(random.Random(100 * label + seed).choices([*own * 3, *WORDS[15:20]], k=4 + seed % 5))


def labelled(count=12, labels=range(5)):
    rows = [
        LabelledText(text(place, seed), (NAMES[place],), (1.0,)) for seed in range(count) for place in labels
    ]
    return Labelled(rows, multiple=False)


def lists(count=12):
    rows = [
        LabelledText(f"{text(a, seed)} {text(b, seed)}", (NAMES[a], NAMES[b]), (1.0, 0.5))
        for seed in range(count)
        for a, b in ((0, 1), (1, 2), (3, 4), (4, 0))
    ]
    return Labelled([*rows, LabelledText(text(2, 99), (), ())], multiple=True)


TEXTS = labelled()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return KeptRuns(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def settings(tiny, folder):
    """48 texts of 4 labels are trained on, 8 a batch, two epochs; a fifth label is held out."""
    return AMSoftmaxSettings(
        inputs=("a.csv",), model=tiny, batch_size=8, epochs=2.0, learning_rate=1e-3, class_learning_rate=1e-2,
        precision="fp32", eval_steps=4, log_steps=1, holdout_labels=1, calibrate=0.0, scale=10.0,
    )  # fmt: skip


def test_what_comes_out_is_a_model_with_label_vectors_and_its_story(settings):
    from sentence_transformers import SentenceTransformer

    done = train_amsoftmax("out", replace(settings, calibrate=0.25), TEXTS)
    plain = SentenceTransformer("out", device="cpu").encode(TEXTS.texts()[:5])
    np.testing.assert_allclose(load("out", runtime="torch").encode(TEXTS.texts()[:5]), plain, atol=1e-6)
    assert not same(weights("out"), weights(settings.model))
    labels = LabelVectors.load("out")
    assert labels.fingerprint == load("out").identity.fingerprint
    assert len(labels.held_out) == 1
    assert sorted(labels.names + labels.held_out) == sorted(NAMES)
    np.testing.assert_allclose(np.linalg.norm(labels.vectors, axis=1), 1, atol=1e-6)
    assert labels.loss == "am-softmax:scale=10.0"
    assert labels.calibration.rows == 4 * 3
    assert labels.calibration.unseen == 12
    story = orjson.loads(Path("out/embedkit.json").read_bytes())
    assert (story["made by"], story["examples"], story["labels"]) == ("embedkit train-amsoftmax", 36, 4)
    assert story["held_out"] == list(labels.held_out)
    assert story["figures"]["measure"] == "MAP"
    assert done.best == max(line["eval_map"] for line in log("out") if line["step"] and "eval_map" in line)
    card = Path("out/README.md").read_text()
    assert "36 texts of 4 labels, 1 label held out" in card
    assert TEXTS.texts()[0] not in card
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_texts_come_near_the_vector_of_their_label(settings):
    train_amsoftmax("out", replace(settings, epochs=16.0, learning_rate=3e-3, holdout_labels=0), TEXTS)
    losses = [line["loss"] for line in log("out") if "loss" in line]
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])
    labels = LabelVectors.load("out")
    new = labelled(30)
    nearest = (load("out").encode(new.texts()) @ labels.vectors.T).argmax(axis=1)
    right = [labels.names[place] == name for place, name in zip(nearest, new.labels(), strict=True)]
    assert np.mean(right) > 0.9


def test_class_vectors_begin_as_class_means_and_have_a_rate_of_their_own(settings):
    still = replace(settings, class_learning_rate=1e-12, learning_rate=1e-12, max_steps=1, holdout_labels=0)
    train_amsoftmax("out", still, TEXTS)
    unit = load(settings.model, runtime="torch").encode(TEXTS.texts()).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    means = np.stack([unit[np.array(TEXTS.labels()) == name].mean(axis=0) for name in NAMES])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(LabelVectors.load("out").vectors, means, atol=1e-5)
    train_amsoftmax("moved", replace(still, class_learning_rate=1e-1), TEXTS)
    assert abs(LabelVectors.load("moved").vectors - means).max() > 1e-2
    assert torch.allclose(*(weights(name)["embeddings.word_embeddings.weight"] for name in ("out", "moved")))


@pytest.mark.parametrize("given", [{}, {"margin": "auto"}, {"loss": "sub-centre"}, {"max_classes": 2}])
@pytest.mark.parametrize("step", [3, 5, 7])
def test_killed_and_resumed_it_ends_in_the_same_vectors(settings, kept, step, given):
    settings = replace(settings, **given)
    whole = kept.copied(str(given), lambda: train_amsoftmax("whole", settings, TEXTS))
    until_killed(train_amsoftmax, settings, TEXTS, step=step)
    resumed = train_amsoftmax("out", settings, TEXTS, resume=True)
    assert same(weights("out"), weights("whole"))
    assert Path("out/labels.safetensors").read_bytes() == Path("whole/labels.safetensors").read_bytes()
    assert (resumed.best, resumed.found) == (whole.best, whole.found)


def test_the_optimisers_state_of_class_vectors_is_in_the_checkpoint(settings):
    with pytest.raises(Killed):
        train_amsoftmax("out", settings, TEXTS, watch=killed_at(6))
    kept = Path("out.partial/checkpoints/checkpoint-4")
    state = torch.load(kept / "optimizer.pt", weights_only=True)
    vectors = load_file(kept / "objective.safetensors")["class_vectors"]
    moments = [
        entry["exp_avg"] for entry in state["state"].values() if entry["exp_avg"].shape == vectors.shape
    ]
    assert any(moment.abs().sum() > 0 for moment in moments)
    rates = {group["initial_lr"] for group in state["param_groups"]}
    assert rates == {1e-3, 1e-2}


def test_the_kept_checkpoint_has_its_own_class_vectors(settings):
    """Those of the best step, not those of the last one."""
    one = replace(settings, epochs=6.0, learning_rate=0.05, eval_steps=6, schedule="constant")
    done = train_amsoftmax("best", one, TEXTS)
    assert done.best_step < done.steps
    train_amsoftmax("there", replace(one, max_steps=done.best_step), TEXTS)
    train_amsoftmax("last", replace(one, eval_steps=1000), TEXTS)
    best, there, last = (Path(name, "labels.safetensors").read_bytes() for name in ("best", "there", "last"))
    assert best == there != last


def test_an_auto_margin_is_set_once_and_told(settings, caplog):
    caplog.set_level(logging.INFO, "embedkit")
    events = []
    auto = replace(settings, margin="auto", eval_steps=12)
    done = train_amsoftmax("out", auto, TEXTS, watch=events.append)
    found = [event for event in events if "margin" in event.figures]
    assert [event.step for event in found] == [6]
    assert done.found["margin"] == pytest.approx(found[0].figures["margin"], abs=1e-4)
    assert 0 < done.found["margin"] < 1
    assert LabelVectors.load("out").loss.startswith("am-softmax:scale=10.0,margin=0.")
    (line,) = [message for message in caplog.messages if message.startswith("margin ")]
    assert "two texts of a label are" in line


def test_a_kept_checkpoint_from_before_the_margin_has_none(settings):
    early = replace(settings, margin="auto", margin_after=0.9, eval_steps=1, learning_rate=0.5, warmup=0.5)
    done = train_amsoftmax("out", early, TEXTS)
    assert done.best_step < round(0.9 * done.steps)
    assert done.found == {"margin": 0.0}


def test_lists_of_labels_train_by_zlpr(settings):
    wanted = replace(settings, epochs=24.0, learning_rate=3e-3, holdout_labels=0, calibrate=0.2)
    train_amsoftmax("out", wanted, lists())
    losses = [line["loss"] for line in log("out") if "loss" in line]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    labels = LabelVectors.load("out")
    assert (labels.multiple, labels.loss, labels.centres) == (True, "zlpr", 1)
    assert labels.offset != 0
    assert labels.calibration.rows in (9, 10)
    scores = labels.scale * (load("out").encode(lists().texts()) @ labels.vectors.T - labels.offset)
    wanted_labels = [[name in row.labels for name in labels.names] for row in lists().rows]
    assert np.mean((scores > 0) == np.array(wanted_labels)) > 0.8


def test_batches_in_balance_have_labels_as_often(settings):
    uneven = Labelled([*labelled(40, [0]).rows, *labelled(4, [1]).rows], multiple=False)
    recipe = AMSoftmaxRecipe(replace(settings, class_balance="batches", holdout_labels=0), uneven)
    from embedkit.training.batch_sampling import Shuffled
    from embedkit.training.run import start_of

    start = start_of(recipe, recipe.rows(), _base(settings), resumed=False)
    weights = recipe.additions(start, lambda event: None).weights
    sampler = Shuffled(recipe.rows(), batch_size=8, drop_last=True, seed=0, weights=weights)
    drawn = Counter()
    for epoch in range(20):
        sampler.set_epoch(epoch)
        drawn.update(uneven.labels()[row] for batch in sampler for row in batch)
    assert 0.8 < drawn["ant"] / drawn["bee"] < 1.25


def _base(settings):
    from embedkit.training.base import CopiedModel

    CopiedModel(settings).make(Path("base"))
    return Path("base")


def test_a_loss_in_balance_weighs_labels(settings):
    uneven = Labelled([*labelled(40, [0]).rows, *labelled(4, [1]).rows], multiple=False)
    even = replace(settings, holdout_labels=0, epochs=1.0)
    train_amsoftmax("none", even, uneven)
    train_amsoftmax("loss", replace(even, class_balance="loss"), uneven)
    assert not same(weights("none"), weights("loss"))


def test_its_settings_repeat_it(settings):
    train_amsoftmax("one", replace(settings, margin=0.2), TEXTS)
    again = AMSoftmaxSettings(**read_toml("one/train.toml", AMSoftmaxSettings))
    train_amsoftmax("two", again, TEXTS)
    assert Path("one/labels.safetensors").read_bytes() == Path("two/labels.safetensors").read_bytes()


def test_seeds_hold_out_the_same_labels(settings):
    runs = train_seeds("out", AMSoftmaxRecipe(settings, TEXTS), count=2, keep_all=True)
    assert len(runs.scores) == 2
    first, second = (LabelVectors.load(f"out.seed{seed}") for seed in (0, 1))
    assert first.held_out == second.held_out
    assert not np.array_equal(first.vectors, second.vectors)
    assert "MAP" in runs.lines()[-1]


@pytest.mark.parametrize("given", [{}, {"loss": "zlpr"}, {"loss": "arc-face"}])
def test_the_gradient_is_exact_on_the_users_model(settings, given):
    assert check_exact(AMSoftmaxRecipe(replace(settings, **given), TEXTS)) < 1e-5


def test_chunks_do_not_change_the_result(settings):
    for name, passes in (("one", 1), ("two", 2)):
        wanted = replace(
            settings, chunk_tokens=30, passes=passes, dropout=0.0, attention_dropout=0.0, epochs=1.0
        )
        train_amsoftmax(name, wanted, TEXTS)
    one, two = (LabelVectors.load(name).vectors for name in ("one", "two"))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_warnings_teach(settings, caplog):
    rows = [*TEXTS.rows, LabelledText("alone", ("fox",), (1.0,)), TEXTS.rows[0]._replace(labels=("bee",))]
    scored = Labelled(TEXTS.rows[:20], multiple=False)
    AMSoftmaxRecipe(
        replace(settings, holdout_labels=0, eval="dev.csv"), Labelled(rows, multiple=False), scored
    ).advise()
    assert caplog.messages == [
        "1 of 6 labels have a single text to train on ('fox'): their vectors are that text's",
        f"1 texts occur with different labels, such as {TEXTS.rows[0].text!r}",
        "20 texts of dev.csv are also in the training text: they will flatter the model",
    ]


@pytest.mark.parametrize(
    ("rows", "given", "message"),
    [
        (labelled(20, [0]), {}, "all texts have the label 'ant': training needs at least 2 labels"),
        (labelled(1), {}, "`batch_size=8`: exceeds the 5 examples"),
        (
            lists(),
            {"loss": "am-softmax"},
            "`loss=am-softmax`: takes one label per text, but some texts have a list",
        ),
        (lists(), {"class_balance": "loss"}, "`class_balance`: does not apply to multi-label data"),
        (labelled(8, [0, 1, 2]), {"holdout_labels": 2}, "2 of 3 labels leave 2 held out and 1 to train on"),
    ],
)
def test_what_cannot_train_is_refused_before_a_model_is_loaded(settings, rows, given, message):
    wanted = replace(settings, **{"model": "/nowhere", "holdout_labels": 0, **given})
    with pytest.raises((DataError, UsageError), match=message):
        train_amsoftmax("out", wanted, rows)
    assert not Path("out.partial").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "softmax", "margin": 0.2}, "`margin`: loss softmax has no margin"),
        (
            {"loss": "arc-face", "margin": "auto"},
            "`margin`: auto sets a margin in cosine, which loss arc-face does not have",
        ),
        ({"centres": 2}, "`centres`: loss am-softmax uses one centre per class"),
        ({"loss": "cosface"}, "`loss`: unknown loss 'cosface'"),
        ({"scale": 0.0}, "`scale`: must be above 0, got 0.0"),
        ({"calibrate": 1.0}, "`calibrate`: must be at least 0 and below 1, got 1.0"),
        ({"holdout_labels": 1.5}, "`holdout_labels`: must be a share below 1 or a whole number, got 1.5"),
        ({"max_classes": 1}, "`max_classes`: must be at least 2, got 1"),
        ({"class_balance": "some"}, "`class_balance`: unknown balance 'some'"),
        ({"margin": -0.1}, "margin must be at least 0, got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(given, message):
    with pytest.raises(EmbedkitError, match=message):
        AMSoftmaxSettings(**given)


def test_an_automatic_margin_without_two_texts_of_a_label_is_one_line(settings):
    texts = Labelled([LabelledText(text(n, n), (f"label {n}",), (1.0,)) for n in range(20)], False)
    auto = replace(settings, margin="auto", holdout_labels=0, batch_size=8)
    with pytest.raises(DataError, match="no label has two texts to train on"):
        train_amsoftmax("out", auto, texts)


def test_an_automatic_margin_finds_the_few_labels_with_two_texts(settings):
    """Of more than 500 labels, those whose diameter is taken are chosen among the ones that have one."""
    rows = [LabelledText(text(n, n), (f"label {n:04}",), (1.0,)) for n in range(1010)]
    rows += [LabelledText(text(n, n + 5000), (f"label {n:04}",), (1.0,)) for n in (1, 3)]
    auto = replace(settings, margin="auto", holdout_labels=0, max_steps=2, calibrate=0.0, batch_size=8)
    assert train_amsoftmax("out", auto, Labelled(rows, False)).found["margin"] >= 0


def test_a_label_that_was_renamed_in_place_stops_a_resumed_run(settings):
    with pytest.raises(Killed):
        train_amsoftmax("out", settings, TEXTS, watch=killed_at(3))
    renamed = [row._replace(labels=tuple(f"{name} again" for name in row.labels)) for row in TEXTS.rows]
    with pytest.raises(EmbedkitError, match=r"^out\.partial: the labelled texts .*changed after the run had"):
        train_amsoftmax("out", settings, replace(TEXTS, rows=renamed), resume=True)


def test_label_vectors_whose_length_overflows_are_a_divergence(settings):
    wild = replace(settings, class_learning_rate=1e30)
    line = (
        r"^out\.partial: training diverged at step 1: the length of the weights class_vectors is not finite; "
    )
    with pytest.raises(DivergedError, match=line):
        train_amsoftmax("out", wild, TEXTS)
    assert not Path("out").exists()
