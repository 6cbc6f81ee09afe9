"""Settings of a run: ranges, presets, and the file that repeats it."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedkit.errors import EmbedkitError, FormatError, UnknownNameError, UsageError
from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
from embedkit.training.run_settings import with_given
from embedkit.training.simcse_settings import PRESETS, SimCSESettings, preset
from embedkit.training.toml import read_toml, to_toml


def test_the_file_repeats_the_run(folder):
    settings = SimCSESettings(
        inputs=("/a.txt", "/b.txt"),
        columns=("x", "y"),
        dropout=0.3,
        epochs=2.0,
        max_steps=7,
        head=True,
        passes=2,
    )
    Path("train.toml").write_bytes(to_toml(settings, "how"))
    assert SimCSESettings(**read_toml("train.toml", SimCSESettings)) == settings


def test_a_whole_number_will_do_for_a_decimal_one(folder):
    Path("a.toml").write_text("epochs = 3\n")
    assert read_toml("a.toml", SimCSESettings) == {"epochs": 3.0}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("epochs = 'three'", "a.toml: epochs = 'three' has another type than expected"),
        ("batch_size = 2.5", "a.toml: batch_size = 2.5 has another type than expected"),
        ("schedule = 'steep'", "a.toml: schedule = 'steep' has another type than expected"),
        ("inputs = [1]", "a.toml: inputs = [1] has another type than expected"),
        ("head = 1", "a.toml: head = 1 has another type than expected"),
        ("temprature = 1.0", "a.toml: unknown setting 'temprature'; did you mean temperature?"),
    ],
)
def test_a_file_with_other_settings_is_refused(folder, content, line):
    Path("a.toml").write_text(content)
    with pytest.raises(EmbedkitError) as caught:
        read_toml("a.toml", SimCSESettings)
    assert str(caught.value) == line


def test_a_file_that_is_no_toml_is_refused(folder):
    Path("a.toml").write_text("epochs 3")
    with pytest.raises(FormatError, match=r"^a\.toml: is not TOML: "):
        read_toml("a.toml", SimCSESettings)
    with pytest.raises(FormatError, match=r"^b\.toml: no such file$"):
        read_toml("b.toml", SimCSESettings)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"batch_size": 1}, "`batch_size`: must be at least 2, to have something to compare with, got 1"),
        ({"batch_size": 0}, "`batch_size`: must be at least 2, to have something to compare with, got 0"),
        ({"chunk_size": 0}, "`chunk_size`: must be at least 1, got 0"),
        ({"epochs": 0.0}, "`epochs`: must be above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "`learning_rate`: must be above 0, got nan"),
        ({"warmup": -0.1}, "`warmup`: must be at least 0, got -0.1"),
        ({"dropout": 1.0}, "`dropout`: must be at least 0 and below 1, got 1.0"),
        ({"optimizer": "adam"}, "`optimizer`: unknown optimizer 'adam'; did you mean adamw?"),
    ],
)
def test_values_out_of_range_are_refused(given, line):
    with pytest.raises(UsageError) as caught:
        SimCSESettings(**given)
    assert str(caught.value) == line


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings(name):
    assert with_given(SimCSESettings(), preset(name)).pooling == "cls"


def test_the_papers_tables():
    paper = with_given(SimCSESettings(), preset("paper-unsup"))
    assert (paper.loss, paper.batch_size, paper.learning_rate, paper.temperature) == (
        "two-view",
        64,
        3e-5,
        0.05,
    )
    article = with_given(SimCSESettings(), preset("article-zh"))
    assert (article.loss, article.dropout, article.attention_dropout) == ("nt-xent", 0.3, 0.1)
    assert (article.learning_rate, article.weight_decay, article.max_length) == (1e-5, 0.0, 64)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean paper-sup"):
        preset("papers-sup")


def test_what_was_worked_out_is_worked_out_anew_for_another_batch():
    run = replace(SimCSESettings(), chunk_tokens=100, passes=2)
    assert with_given(run, {"epochs": 2.0}).chunk_tokens == 100
    assert with_given(run, {"batch_size": 8}).chunk_tokens is None


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"seed": -1}, "`seed`: must be between 0 and 4294967295, got -1"),
        ({"seed": 2**32}, "`seed`: must be between 0 and 4294967295, got 4294967296"),
        ({"chunk_size": 2**63}, "`chunk_size`: must be at most 2147483647, got 9223372036854775808"),
        ({"eval_steps": 10**20}, "`eval_steps`: must be at most 2147483647, got 100000000000000000000"),
        (
            {"scale_with_candidates": 10**20},
            "`scale_with_candidates`: must be at most 2147483647, got 100000000000000000000",
        ),
        ({"temperature": 1e-40}, "temperature=1e-40 is too small for float32"),
    ],
)
def test_numbers_that_no_run_can_hold_are_refused(given, line):
    with pytest.raises(UsageError) as caught:
        SimCSESettings(**given)
    assert str(caught.value) == line


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_held_out_labels_that_cannot_be_drawn_with_is_refused(seed):
    with pytest.raises(UsageError, match=rf"^`holdout_seed`: must be between 0 and 4294967295, got {seed}$"):
        AMSoftmaxSettings(holdout_seed=seed)
