"""Two real processes train as one with the same batches; killed they resume, refused they say so once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch.distributed as dist

from embedkit.data.vectors.label_vectors import LabelVectors
from tests.embedding.conftest import BUILDERS
from tests.training.processes.several import LABELS, SIMCSE
from tests.training.running import log, same, weights
from tests.training.test_amsoftmax import TEXTS
from tests.training.test_simcse import sentence

ROOT = Path(__file__).parents[3]
WORKER = str(Path(__file__).with_name("several.py"))
LAUNCH = [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node", "2"]
TOGETHER = [*LAUNCH, "-m", "embedkit"]
ALONE = [sys.executable, "-m", "embedkit"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available(), reason="this torch is built without processes"),
]


def started(command, **how):
    """Start a command whose processes find each other and the tests."""
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, **how)


def ran(command, **how):
    """Return the exit code of a command, and what embedkit said."""
    process = started(command, **how)
    said = process.communicate(timeout=240)[1]
    return process.returncode, [line for line in said.splitlines() if line.startswith("embedkit: ")], said


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def cases(tiny, tmp_path_factory):
    """The folder in which every case was trained, in two processes and in one."""
    folder = tmp_path_factory.mktemp("cases")
    for command in ([*LAUNCH, WORKER], [sys.executable, WORKER]):
        code, _, said = ran([*command, tiny, str(folder)])
        assert code == 0, said
    return folder


@pytest.fixture
def inputs(folder, tiny, monkeypatch):
    """The files `a.txt` of 40 sentences and `l.csv` of labelled texts; the model is a tiny one."""
    Path("a.txt").write_text("".join(f"{sentence(seed)}\n" for seed in range(40)))
    rows = (f"{row.text},{row.labels[0]}\n" for row in TEXTS.rows)
    Path("l.csv").write_text("text,label\n" + "".join(rows))
    monkeypatch.setenv("EMBEDKIT_MODEL", tiny)


@pytest.mark.parametrize("case", [*SIMCSE, *LABELS])
def test_every_logged_loss_and_gradient_is_that_of_one_process(cases, case):
    one, two = (log(cases / f"{case}-of-{processes}") for processes in (1, 2))
    assert [line["step"] for line in one] == [line["step"] for line in two]
    assert sum("loss" in line for line in one) >= 6
    for name in ("loss", "gradient_norm", "learning_rate"):
        values = ([line[name] for line in lines if "loss" in line] for lines in (one, two))
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5 * (name == "loss"))


@pytest.mark.parametrize("case", [*SIMCSE, *LABELS])
def test_the_weights_are_those_of_one_process(cases, case):
    """Biases of keys apart: softmax takes them out again, so their gradient is rounding, which Adam scales
    up to a step.
    """
    one, two = (weights(cases / f"{case}-of-{processes}") for processes in (1, 2))
    for name in one:
        if not name.endswith("key.bias"):
            np.testing.assert_allclose(two[name], one[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("case", LABELS)
def test_label_vectors_and_calibration_are_those_of_one_process(cases, case):
    one, two = (LabelVectors.load(cases / f"{case}-of-{processes}") for processes in (1, 2))
    np.testing.assert_allclose(two.vectors, one.vectors, atol=1e-5)
    assert (two.names, two.held_out) == (one.names, one.held_out)
    assert two.offset == pytest.approx(one.offset, abs=1e-5)
    assert two.calibration.rows == one.calibration.rows


@pytest.mark.parametrize(
    "command",
    [
        ["train-simcse", "a.txt", "--head", "--chunk-size", "2"],
        ["train-amsoftmax", "l.csv", "--margin", "auto", "--max-classes", "3"],
    ],
    ids=lambda command: command[0],
)
def test_a_killed_process_ends_all_and_they_resume_to_the_same_weights(inputs, command):
    command = [*command, "--batch-size", "8", "--epochs", "12", "--eval-steps", "4", "--log-steps", "1"]
    assert ran([*TOGETHER, *command, "-o", "whole"])[0] == 0
    process = started([*TOGETHER, *command, "-o", "out"])
    written = Path("out.partial/log.jsonl")
    while not written.is_file() or written.read_bytes().count(b"\n") < 7:
        time.sleep(0.02)
    psutil.Process(process.pid).children()[-1].kill()
    process.communicate(timeout=90)
    assert process.returncode == 1
    assert not Path("out").exists()
    shutil.copytree("out.partial", "other.partial")

    assert ran([*TOGETHER, *command, "-o", "out", "--resume"])[0] == 0
    assert same(weights("out"), weights("whole"))
    assert [line.get("loss") for line in log("out")] == [line.get("loss") for line in log("whole")]
    if Path("out/labels.safetensors").is_file():
        assert Path("out/labels.safetensors").read_bytes() == Path("whole/labels.safetensors").read_bytes()

    code, lines, _ = ran([*ALONE, *command, "-o", "other", "--resume"])
    assert code == 0
    told = "embedkit: the run began in 2 processes and continues in 1: batches are the same, dropout is drawn"
    assert [line for line in lines if line.startswith(told)]
    assert [line["step"] for line in log("other")] == [line["step"] for line in log("whole")]

    code, lines, _ = ran([*TOGETHER, *command, "-o", "out", "--resume"])
    assert (code, lines) == (0, ["embedkit: out: is already trained"])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["b.txt", "-o", "out"], "b.txt: no such file"),
        (["-", "-o", "out"], "-: several processes cannot share standard input; name a FILE"),
        (["a.txt", "-o", "out", "-m", "nothing", "--batch-size", "8"], "--model: unknown model 'nothing'"),
        (["a.txt", "-o", "l.csv"], "l.csv: already exists; overwrite it with --force"),
        (
            ["a.txt", "-o", "out", "--batch-size", "9"],
            "--batch-size 9: cannot be split evenly over 2 processes",
        ),
        (
            ["a.txt", "-o", "out", "--check-exact"],
            "--check-exact: runs in one process only; omit the launcher",
        ),
    ],
)
def test_what_cannot_be_is_said_once_by_all_processes(inputs, args, line):
    code, lines, said = ran([*TOGETHER, "train-simcse", *args], stdin=subprocess.DEVNULL)
    assert code == 1
    assert len(lines) == 1, said
    assert lines[0].startswith(f"embedkit: {line}")
    assert "embedkit/training" not in said  # no traceback of ours
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "l.csv"]
