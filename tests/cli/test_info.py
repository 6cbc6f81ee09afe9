"""`embedkit info`: what things are, and which of them go together, as the commands that use both find."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.embedding.loading import load

RUN = "q1 Q0 tree 1 0.9 x\nq1 Q0 args 2 0.5 x\nq2 Q0 tree 1 0.7 x\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of the things of this module, which the first test that wants them fills."""
    return tmp_path_factory.mktemp("things")


@pytest.fixture
def things(run, docs, made):
    """The things of this module in the current folder."""
    if not any(made.iterdir()):
        make(run, docs)
        shutil.copytree(".", made, dirs_exist_ok=True)
    shutil.copytree(made, ".", dirs_exist_ok=True)


def make(run, docs):
    """Make vectors by two encoders, maps fitted on the first, what they give, an index, labels, hits and an
    evaluation.
    """
    run("encode", docs, "-o", "a.vec", "-q")
    run("encode", docs, "-m", "hash:dim=8,seed=1", "-o", "b.vec", "-q")
    run("fit", "truncate:dim=4", "a.vec", "-o", "four.safetensors", "-q")
    run("apply", "-t", "four.safetensors", "a.vec", "-o", "a4.vec", "-q")
    run("fit", "centre", "a4.vec", "-o", "centre.safetensors", "-q")
    run("fit", "procrustes", "a.vec", "--target", "b.vec", "-o", "a-to-b.safetensors", "-q")
    run("encode", docs, "-o", "a.npy", "-q")
    run("index", docs, "-o", "a.idx", "-q")
    AffineMap(np.eye(2, 3), np.zeros(2), {}).save(Path("three.safetensors"))
    of_a = load("hash:dim=8").identity.fingerprint
    LabelVectors(("x", "y"), np.eye(2, 8, dtype=np.float32), fingerprint=of_a).save("labels.safetensors")
    Path("run.trec").write_text(RUN)
    Path("pairs.tsv").write_text("a tree\ta bush\t1\na cat\ta dog\t2\na car\ta fish\t3\n")
    done = run("eval", "sts", "pairs.tsv", "--json")
    Path("sts.json").write_text(done.out)


@pytest.mark.parametrize(
    ("thing", "facts"),
    [
        ("a.npy", {"type": "vectors in a file (npy)", "rows": 3, "dimension": 8, "encoder": None}),
        ("run.trec", {"type": "run of hits", "queries": 2, "hits": 3, "hits a query": "1 to 2"}),
        ("sts.json", {"type": "evaluation", "of": "Semantic textual similarity"}),
        ("four.safetensors", {"spec": "truncate:dim=4", "takes": 8, "gives": 4}),
        ("hash:dim=8", {"type": "model", "model": "hash:dim=8", "dimension": 8}),
    ],
)
def test_each_thing_says_what_it_is(run, things, thing, facts):
    said = json.loads(run("info", thing, "--json").out)
    assert said == said | facts


@pytest.mark.parametrize(
    ("one", "other", "together", "reason"),
    [
        ("a.vec", "a.idx", True, "both come from hash:dim=8 "),
        ("a.vec", "b.vec", False, "a.vec comes from hash:dim=8 "),
        ("hash:dim=8", "a.idx", True, "both come from hash:dim=8 "),
        ("hash:dim=9", "a.idx", False, "hash:dim=9 comes from hash:dim=9 "),
        ("a.vec", "four.safetensors", True, "the map takes vectors of hash:dim=8 "),
        ("four.safetensors", "a.idx", True, "the map takes vectors of hash:dim=8 "),
        ("b.vec", "four.safetensors", False, "the map was fitted on vectors of encoder "),
        ("a4.vec", "four.safetensors", True, "a4.vec was made with the map"),
        ("a4.vec", "a.vec", False, "a4.vec comes from hash:dim=8 (maps "),
        ("b.vec", "a-to-b.safetensors", True, "the map leads to the space of b.vec"),
        ("a.vec", "three.safetensors", False, "the map expects 3 dimensions, hash:dim=8 gives 8"),
        (
            "centre.safetensors",
            "four.safetensors",
            True,
            "they can be chained: four.safetensors, then centre",
        ),
        (
            "four.safetensors",
            "three.safetensors",
            False,
            "the next map expects 3 dimensions, this one gives 4",
        ),
        (
            "a.npy",
            "four.safetensors",
            None,
            "the map expects 8 dimensions, the vectors have 8, but their encoder is unknown",
        ),
        ("a.npy", "three.safetensors", False, "the map expects 3 dimensions, the vectors have 8"),
        ("a.vec", "labels.safetensors", True, "both come from hash:dim=8 "),
        ("b.vec", "labels.safetensors", False, "b.vec comes from hash:dim=8,seed=1 "),
        ("a.vec", "run.trec", None, "run.trec does not state its encoder"),
        ("four.safetensors", "run.trec", None, "run.trec does not state its encoder"),
    ],
)
def test_two_things_say_whether_they_go_together(run, things, one, other, together, reason):
    done = run("info", one, other, "--json")
    assert (done.code, done.said) == (0, "")
    (fit,) = json.loads(done.out)["fits"]
    assert (fit["things"], fit["fit"]) == ([one, other], together)
    assert fit["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("vectors", "transform"),
    [("a.vec", "four.safetensors"), ("b.vec", "four.safetensors"), ("a.vec", "three.safetensors")],
)
def test_the_answer_is_what_apply_does(run, things, vectors, transform):
    (fit,) = json.loads(run("info", vectors, transform, "--json").out)["fits"]
    done = run("apply", "-t", transform, vectors, "-o", "out.vec", "-q")
    assert fit["fit"] == (done.code == 0)
    assert done.code == 0 or fit["reason"] in done.said


def test_several_things_are_compared_each_with_each(run, things):
    lines = run("info", "a.vec", "a.idx", "four.safetensors").out.splitlines()
    assert [lines[0], lines[2]] == ["a.vec", "type         vector set, format version 1"]
    assert [line.partition(": ")[0] for line in lines[-3:]] == [
        "a.vec and a.idx go together",
        "a.vec and four.safetensors go together",
        "a.idx and four.safetensors go together",
    ]


def test_a_map_says_what_it_was_fitted_with_in_words(run, folder):
    story = {"spec": "centre", "maps": [], "versions": {"embedkit": "0.1.0", "numpy": "2.4.6"}}
    AffineMap(np.eye(3), np.zeros(3), story).save(folder / "map.safetensors")
    lines = run("info", "map.safetensors").out.splitlines()
    assert lines[-2:] == ["maps         none", "versions     embedkit 0.1.0, numpy 2.4.6"]


def test_a_training_run_that_was_killed_says_how_far_it_came(run, folder):
    (folder / "m.partial/base").mkdir(parents=True)
    (folder / "m.partial/train.toml").write_text("batch_size = 8\n")
    (folder / "m.partial/log.jsonl").write_text('{"step": 5, "loss": 2.5}\n{"step": 10, "loss": 1.5}\n')
    for step in (100, 20):
        (folder / f"m.partial/checkpoints/checkpoint-{step}").mkdir(parents=True)
    assert json.loads(run("info", "m.partial", "--json").out) == {
        "type": "unfinished training run",
        "last step": 10,
        "last loss": 1.5,
        "checkpoints": ["checkpoint-20", "checkpoint-100"],
        "goes on with": "the command that began it, with --resume -o m",
    }


def test_a_trained_model_says_how_it_was_made(run, folder):
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "bert", "hidden_size": 4}')
    base = load("hash:dim=8").identity
    figures = {"steps": 7, "seconds": 1.5, "measure": "Spearman", "before": 0.5, "best": 0.75, "best_step": 5}
    story = {
        "format": "embedkit-model", "version": 1, "made by": "embedkit train-simcse", "examples": 40,
        "base": base.to_json(), "embedkit": "0.1.0", "figures": figures, "settings": {},
    }  # fmt: skip
    (model / "embedkit.json").write_text(json.dumps(story))
    facts = json.loads(run("info", model, "--json").out)
    assert facts == facts | {
        "type": "model", "dimension": 4, "made by": "embedkit train-simcse", "examples": 40, "steps": 7,
        "made from": str(base), "made with": "embedkit 0.1.0", "seconds": 1.5,
        "Spearman": "50.00 before, 75.00 at step 5",
    }  # fmt: skip


@pytest.fixture
def story(folder):
    """The story of a model in the folder `model`, which says how it was made."""
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text('{"model_type": "bert", "hidden_size": 4}')
    return {
        "format": "embedkit-model", "version": 1, "made by": "embedkit export", "embedkit": "0.1.0",
        "base": load("hash:dim=8").identity.to_json(), "map": {"spec": "centre", "fingerprint": "0" * 16},
        "figures": {"steps": 1, "measure": "Spearman", "before": 0.5, "best": 0.75, "best_step": 1},
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\x00"])
def test_a_story_that_is_no_object_is_one_line(run, folder, story, content):
    (folder / "model/embedkit.json").write_text(content)
    done = run("info", folder / "model")
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"embedkit: .*/model: embedkit\.json (is|cannot be read).*\n?", done.said)


@pytest.mark.parametrize("name", ["embedkit", "base", "map", "figures"])
@pytest.mark.parametrize("odd", [None, [1], "x", -1, True, {"best": 1}])
def test_a_story_of_another_type_is_one_line_or_left_out(run, folder, story, name, odd):
    (folder / "model/embedkit.json").write_text(json.dumps(story | {name: odd}))
    done = run("info", folder / "model", "--json")
    assert done.code in (0, 1)
    assert json.loads(done.out)["type"] == "model" if done.code == 0 else "embedkit.json" in done.said


@pytest.mark.parametrize("last", ['{"step": 15, "lo', "[]", "", "null", "\x00\x00"])
def test_a_log_that_was_cut_short_says_what_it_holds(run, folder, last):
    (folder / "m.partial/base").mkdir(parents=True)
    (folder / "m.partial/train.toml").write_text("batch_size = 8\n")
    (folder / "m.partial/log.jsonl").write_text('{"step": 10, "loss": 1.5}\n' + last)
    (folder / "m.partial/checkpoints/checkpoint-x").mkdir(parents=True)
    assert json.loads(run("info", "m.partial", "--json").out)["last step"] == 10


def test_a_damaged_thing_among_others_is_one_line(run, things):
    Path("four.safetensors").write_bytes(b"broken")
    done = run("info", "a.vec", "four.safetensors")
    assert (done.code, done.out) == (1, "")
    assert done.said.startswith("embedkit: four.safetensors: is truncated, or not a map file")
