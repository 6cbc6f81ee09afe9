"""`train-amsoftmax` from the command line: what it says, writes, repeats and refuses."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file

from tests.embedding.conftest import BUILDERS, WORDS

PROGRAM = str(Path(sys.executable).with_name("embedkit"))
NAMES = ("ant", "bee", "cat", "dog")
SMALL = ("--batch-size", "8", "--precision", "fp32")
FILES = ["dev.csv", "labelled.csv", "lists.jsonl"]


def text(label, seed):
    own = WORDS[3 * label : 3 * label + 3]
    return " ".join(random.Random(100 * label + seed).choices([*own * 3, *WORDS[15:20]], k=4 + seed % 5))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(autouse=True)
def files(folder, tiny, monkeypatch):
    """40 texts of four labels, 16 others to score, and 20 with lists of labels; the model is a tiny one."""
    write("labelled.csv", [(text(label, seed), NAMES[label]) for seed in range(10) for label in range(4)])
    write("dev.csv", [(text(label, seed), NAMES[label]) for seed in range(50, 54) for label in range(4)])
    rows = [{"text": text(n % 4, n), "labels": [NAMES[n % 4], NAMES[n % 3]][: 1 + n % 2]} for n in range(20)]
    Path("lists.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    monkeypatch.setenv("EMBEDKIT_MODEL", tiny)


def write(name, rows):
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *rows])


def same(one, other):
    first, second = (load_file(Path(name) / "model.safetensors") for name in (one, other))
    labels = [(Path(name) / "labels.safetensors").read_bytes() for name in (one, other)]
    return all(torch.equal(first[name], second[name]) for name in first) and labels[0] == labels[1]


def test_it_says_what_came_of_it(run):
    done = run(
        "train-amsoftmax", "labelled.csv", *SMALL, "--holdout-labels", "1", "--eval-steps", "2", "-o", "out"
    )
    assert (done.code, done.out) == (0, "")
    lines = done.said.splitlines()
    assert lines[0].startswith("embedkit: training on cpu in fp32")
    assert lines[1].startswith("embedkit: step 0 of 3: MAP ")
    assert lines[1].endswith(" of the texts held out")
    assert lines[-1].startswith("embedkit: seed 0: 3 steps in ")
    assert lines[-1].endswith(", which is kept -> out")
    assert run("info", "out", "--json").code == 0


def test_what_it_writes_labels_texts_and_is_an_index_of_labels(run):
    well = ("--epochs", "24", "--learning-rate", "3e-3")
    trained = run("train-amsoftmax", "labelled.csv", *SMALL, *well, "-o", "out", "-q")
    assert trained == (0, "", "")
    done = run("label", "dev.csv", "-m", "out", "--threshold", "none")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [one["label"] for one in found].count("ant") < 16
    right = sum(one["label"] == one["category"] for one in found)
    assert right >= 12
    assert run("index", "out/labels.safetensors", "-o", "labels.idx", "-q").code == 0
    hit = json.loads(run("search", "labels.idx", text(2, 1), "-k", "1").out)
    assert hit["id"] in NAMES


def test_an_evaluation_file_chooses_the_checkpoint(run):
    run(
        "train-amsoftmax", "labelled.csv", *SMALL, "--eval", "dev.csv", "--eval-steps", "2", "-o", "out", "-q"
    )
    log = [orjson.loads(line) for line in Path("out/log.jsonl").read_bytes().splitlines()]
    scores = {line["step"]: line["eval_map"] for line in log if "eval_map" in line}
    assert set(scores) == {0, 2, 4}
    assert all("eval_top1" in line for line in log if "eval_map" in line)


def test_an_auto_margin_says_what_it_found(run):
    done = run("train-amsoftmax", "labelled.csv", *SMALL, "--margin", "auto", "-o", "out")
    (line,) = [line for line in done.said.splitlines() if line.startswith("embedkit: margin ")]
    assert "from step 2 on: two texts of a label are " in line
    assert ", margin 0." in done.said.splitlines()[-1]


def test_lists_of_labels_train_too(run):
    assert run("train-amsoftmax", "lists.jsonl", *SMALL, "-o", "out", "-q") == (0, "", "")
    found = [json.loads(line) for line in run("label", "lists.jsonl", "-m", "out").out.splitlines()]
    assert len(found) == 20


def test_the_file_of_settings_repeats_the_run_from_anywhere(run, monkeypatch):
    given = ("--margin", "auto", "--holdout-labels", "0.25", "--class-balance", "loss")
    run("train-amsoftmax", "labelled.csv", *SMALL, *given, "-o", "out", "-q")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run("train-amsoftmax", "--config", "../out/train.toml", "-o", "again", "-q") == (0, "", "")
    assert same("../out", "again")


def test_seeds_and_json_for_machines(run):
    done = run(
        "train-amsoftmax",
        "labelled.csv",
        *SMALL,
        "--holdout-labels",
        "1",
        "--seeds",
        "2",
        "-o",
        "out",
        "--json",
        "-q",
    )
    facts = json.loads(done.out)
    assert [one["measure"] for one in facts["runs"]] == ["MAP", "MAP"]
    assert facts["deviation"] is not None
    assert (Path("out") / "labels.safetensors").is_file()


def test_check_exact_alone_trains_nothing(run):
    done = run("train-amsoftmax", "labelled.csv", *SMALL, "--check-exact")
    assert done.code == 0
    assert float(done.out.rpartition(" ")[2]) < 1e-5
    assert sorted(path.name for path in Path().iterdir()) == FILES


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["labelled.csv"], 2, "--output: is missing; name a folder with -o"),
        (["no.csv", "-o", "out"], 1, "no.csv: no such file"),
        (
            ["labelled.csv", "-o", "out"], 2,
            "--batch-size 64: exceeds the 36 examples; lower it",
        ),
        (["labelled.csv", "-o", "out", "--margin", "wide"], 2, "--margin: wide is neither auto nor a number"),
        (
            ["labelled.csv", "-o", "out", "--loss", "softmax", "--margin", "0.1"], 2,
            "--margin: loss softmax has no margin",
        ),
        (
            ["labelled.csv", "-o", "out", "--holdout-labels", "3"], 2,
            "--holdout-labels: 3 of 4 labels leave 3 held out and 1 to train on",
        ),
        (["one.csv", "-o", "out"], 1, "all texts have the label 'ant': training needs at least 2 labels"),
        (
            ["empty.csv", "-o", "out"], 1,
            "empty.csv:3: has an empty label; pass over such records with --on-error skip",
        ),
        (
            ["labelled.csv", "-o", "out", "--batch-size", "8", "--eval", "single.csv"], 1,
            "single.csv: no label has two texts, so none has a positive",
        ),
        (
            ["labelled.csv", "lists.jsonl", "-o", "out", "--loss", "am-softmax"], 2,
            "--loss am-softmax: takes one label per text, but some texts have a list; "
            "use --loss zlpr for lists",
        ),
        (
            ["labelled.csv", "-o", "out", "--batch-size", "8", "-m", "hash:dim=8"], 1,
            "hash:dim=8: hashed n-grams cannot be trained; name a folder or a hub id as the --model",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, args, code, line):
    write("one.csv", [(text(0, seed), "ant") for seed in range(70)])
    write("empty.csv", [("a text", "ant"), ("another", " ")])
    write("single.csv", [("a text", "ant"), ("another", "bee")])
    done = run("train-amsoftmax", *args)
    assert (done.code, done.out) == (code, "")
    assert done.said.splitlines()[-1].endswith(line)
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        [*FILES, "one.csv", "empty.csv", "single.csv"]
    )


def test_single_labels_and_lists_together_are_lists(run):
    assert run("train-amsoftmax", "labelled.csv", "lists.jsonl", *SMALL, "-o", "out", "-q") == (0, "", "")
    assert json.loads(Path("out/embedkit.json").read_text())["labels"] == 4


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_vectors():
    command = [PROGRAM, "train-amsoftmax", "labelled.csv", *SMALL, "--epochs", "6", "--eval-steps", "4"]
    command += ["--holdout-labels", "1", "--margin", "auto", "--log-steps", "1", "-q"]
    subprocess.run([*command, "-o", "whole"], check=True)
    for lines in [2, 9, 20]:
        out = f"out{lines}"
        process = subprocess.Popen([*command, "-o", out])
        log = Path(f"{out}.partial/log.jsonl")
        while process.poll() is None and (not log.is_file() or log.read_bytes().count(b"\n") < lines):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not Path(out).exists()
        subprocess.run([*command, "-o", out, "--resume"], check=True)
        assert same("whole", out)


@pytest.mark.slow
@pytest.mark.parametrize("given", [[], ["--margin", "auto"]])
def test_two_processes_train_as_one(given):
    options = [
        "train-amsoftmax",
        "labelled.csv",
        *SMALL,
        "--dropout",
        "0",
        "--attention-dropout",
        "0",
        "--device",
        "cpu",
    ]
    options += ["--learning-rate", "1e-3", "--log-steps", "1", "--calibrate", "0", *given]
    subprocess.run([PROGRAM, *options, "-o", "one", "-q"], check=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "-m", "embedkit", *options, "-o", "two", "-q"], check=True, env=environment)
    norms = []
    for name in ("one", "two"):
        lines = map(orjson.loads, Path(name, "log.jsonl").read_bytes().splitlines())
        norms.append([line["gradient_norm"] for line in lines])
    assert len(norms[0]) == 5
    assert norms[1][0] == pytest.approx(norms[0][0], rel=1e-4)
    assert norms[1] == pytest.approx(norms[0], rel=5e-2)  # other rounding, and AdamW makes a step of any
