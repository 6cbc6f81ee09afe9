"""The Tab key: commands, options, kinds, models, maps and indexes, as the shells ask for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from embedkit.cli.app import COMMANDS, app
from embedkit.spec import kinds
from embedkit.training.simcse_settings import PRESETS

PROGRAM = str(Path(sys.executable).with_name("embedkit"))


def offered(line, shell="bash", *, process=False):
    """Return what a shell is told when Tab is pressed at the end of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = {"_EMBEDKIT_COMPLETE": f"complete_{shell}", "HF_HOME": str(Path("hub").absolute()), **asked}
    if process:
        done = subprocess.run(
            [PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
    else:
        done = CliRunner().invoke(app, [], prog_name="embedkit", env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit)
    return [entry.partition("\t")[0] for entry in done.stdout.splitlines() if entry]


@pytest.fixture
def files(folder):
    for place in ("a.idx", "some/b.idx"):
        (folder / place).mkdir(parents=True)
        (folder / place / "manifest.json").touch()
    for name in ("map.safetensors", "mine.txt", "some/turn.safetensors"):
        (folder / name).touch()
    model = folder / "hub/hub/models--org--model/snapshots/0"
    model.mkdir(parents=True)
    (model / "config.json").touch()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("embedkit ", list(COMMANDS)),
        ("embedkit tr", ["train-simcse", "train-amsoftmax"]),
        ("embedkit index ver", ["verify"]),
        ("embedkit eval ret", ["retrieval"]),
        ("embedkit fit ", list(kinds("transform"))),
        ("embedkit fit whi", ["whitening"]),
        ("embedkit index build --kind ", list(kinds("index"))),
        ("embedkit index docs.jsonl --kind hn", ["hnsw"]),
        (
            "embedkit train-amsoftmax --loss s",
            ["simpler-a-softmax", "softmax", "sub-centre"],
        ),
        ("embedkit train-simcse --loss ", ["nt-xent", "two-view", "none"]),
        ("embedkit train-simcse --distill ", ["batch-kl", "kl", "margin-mse", "vector-mse"]),
        ("embedkit train-simcse --preset ", list(PRESETS)),
        ("embedkit pretrain --arch ", list(kinds("architecture"))),
        ("embedkit pretrain a.txt --arch de", ["deepnorm"]),
        ("embedkit encode -m ", ["minilm", "e5", "hash:dim=512", "org/model"]),
        ("embedkit train-simcse -m org", ["org/model"]),
        ("embedkit encode --pooling f", ["first-last"]),
        ("embedkit encode -t m", ["map.safetensors"]),
        ("embedkit encode -t some/", ["some/turn.safetensors"]),
        ("embedkit search ", ["a.idx"]),
        ("embedkit index add some/", ["some/b.idx"]),
        ("embedkit eval retrieval --measure nD", ["nDCG@10"]),
        ("embedkit encode -m ./mine", []),  # the shell goes on to files
        ("embedkit nothing ", list(COMMANDS)),
        ("embedkit index buidl --kind fl", ["flat"]),
    ],
)
def test_bash_is_offered(files, line, words):
    assert offered(line) == words


def test_fish_is_offered_the_same(files):
    assert offered("embedkit fit whi", "fish") == ["whitening"]


def test_the_program_itself_answers(files):
    assert offered("embedkit encode -t m", process=True) == ["map.safetensors"]


def test_an_option_in_the_middle_is_offered():
    assert "--more-like" in offered("embedkit search docs.idx --mo")
