"""A kind is one file: a copy of the package with a file more in each family uses the new kind everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import embedkit

NEGATED = '''"""Negation: a transform for this test."""

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap


@dataclass(frozen=True)
class Negated:
    """Settings of `negated`: none."""

    def fit(self, rows):
        """Return x -> -x."""
        dimension = next(iter(rows)).shape[1]
        return AffineMap(-np.eye(dimension), np.zeros(dimension), {})
'''

HALF_MARGIN = '''"""A margin for this test: half of the cosine is taken away at the label."""

from dataclasses import dataclass

from embedkit.losses.margin import MarginLoss


@dataclass(frozen=True)
class HalfMargin(MarginLoss):
    """Settings of `half-margin`: the scale."""

    scale: float = 30.0

    def target(self, angle):
        """Return half of the cosine."""
        return angle.cosine / 2
'''

SCORE_MAE = '''"""A loss of distillation for this test: the absolute error of scores."""

from dataclasses import dataclass
from typing import ClassVar

from embedkit.losses.distilling import own_candidates


@dataclass(frozen=True)
class ScoreMAE:
    """Settings of `score-mae`: the factor on the error."""

    factor: float = 1.0
    compares: ClassVar = "scores"

    def __call__(self, views, texts=None, rows=slice(None), *, scores):
        """Return the mean error."""
        own = own_candidates(views, scores, rows)
        return self.factor * (own.cosines - own.scores).abs().mean()
'''

NUMPY_ROWS = '''"""Rows in a numpy file, for this test."""

from dataclasses import dataclass

import numpy as np

from embedkit.indexing.kind import IndexKind
from embedkit.indexing.planning.costs import Cost, Term


@dataclass(frozen=True)
class NumpyRows(IndexKind):
    """Settings of `numpy-rows`: none."""

    def build(self, blocks, layout, folder):
        np.save(folder / "rows.npy", np.concatenate(list(blocks)).astype(np.float32))

    def open(self, folder, rows):
        return np.load(folder / "rows.npy", mmap_mode="r")

    def search(self, opened, queries, k, allowed=None):
        scores = queries @ opened.T
        scores = scores if allowed is None else np.where(allowed, scores, -np.inf)
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, rows, axis=1), rows

    def vectors(self, opened, rows, dimension):
        return np.asarray(opened[rows])

    @classmethod
    def proposals(cls, rows, dimension):
        yield cls()

    def cost(self, rows, dimension, machine):
        return Cost((Term("rows", rows, 4 * dimension),), (), (), 1e-9, 1e-9, 1.0)
'''

FIRST_WORD = '''"""First word: a method for this test, by which the first word of a text finds the text."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FirstWord:
    """Settings of `first-word`: none."""

    lack: ClassVar = "empty"

    def pairs_of(self, passage, chance):
        """Yield one pair."""
        yield passage.text.split()[0], passage.text
'''

MEAN_MIXING = '''"""An architecture for this test: one layer over positions."""

from dataclasses import dataclass

from embedkit.embedding.architectures.sizes import Architecture


@dataclass(frozen=True)
class MeanMixing(Architecture):
    """Settings of `mean-mixing`: only those of every architecture."""

    def own(self):
        """Return the settings of the network."""
        return {"mixing": "token-mlp", "positions": "none"}
'''

COMMANDS = """
import json, os, sys
from pathlib import Path
from typer.testing import CliRunner
import embedkit
from embedkit.cli.app import app
assert Path(embedkit.__file__).parents[1] == Path.cwd()
answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
for line in sys.stdin:
    done = CliRunner().invoke(app, json.loads(line))
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), file=answers, flush=True)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs a command of a copy of the package that has one file more in each family; all
    commands run in one process, which imports torch once.
    """
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        Path(embedkit.__file__).parent, folder / "embedkit", ignore=shutil.ignore_patterns("__pycache__")
    )
    for family, name, text in (
        ("transforms", "negated", NEGATED),
        ("losses", "half_margin", HALF_MARGIN),
        ("losses", "score_mae", SCORE_MAE),
        ("indexing", "numpy_rows", NUMPY_ROWS),
        ("adaptation", "first_word", FIRST_WORD),
        ("embedding/architectures", "mean_mixing", MEAN_MIXING),
    ):
        (folder / "embedkit" / family / "kinds" / f"{name}.py").write_text(text)
    rng = np.random.default_rng(0)
    np.save(folder / "rows.npy", rng.normal(size=(50, 8)).astype(np.float32))
    (folder / "labelled.csv").write_text(
        "text,label\n" + "".join(f"{word} {n},{word}\n" for word in ("red", "blue") for n in range(8))
    )

    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def command(*words):
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            code, out, err = json.loads(process.stdout.readline())
            assert code == 0, err
            return out

        command.folder = folder
        yield command


def test_a_new_transform_is_fitted_and_applied(run):
    assert "negated" in run("fit", "--help")
    run("fit", "negated", "rows.npy", "-o", "map.safetensors", "-q")
    run("apply", "-t", "map.safetensors", "rows.npy", "-o", "turned.npy", "-q")
    np.testing.assert_array_equal(np.load(run.folder / "turned.npy"), -np.load(run.folder / "rows.npy"))


def test_a_new_index_kind_is_built_searched_and_planned(run):
    assert "numpy-rows" in run("index", "build", "--help")
    run("index", "build", "rows.npy", "--kind", "numpy-rows", "-o", "rows.idx", "-q")
    rows = np.load(run.folder / "rows.npy")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.argsort(-(unit @ unit[7]), kind="stable")[1:4]
    hits = run("search", "rows.idx", "--more-like", "8", "-k", "3", "--format", "jsonl").splitlines()
    assert [int(json.loads(hit)["id"]) - 1 for hit in hits] == expected.tolist()
    planned = json.loads(run("index", "plan", "--rows", "1e6", "--dim", "64", "--json"))
    assert planned["chosen"]["kind"] == "numpy-rows"


def test_a_new_method_makes_pairs(run):
    assert "first-word" in run("pairs", "--help")
    (run.folder / "docs.txt").write_text("copy a folder\n")
    pair = {"query": "copy", "positive": "copy a folder", "positive_id": "1"}
    assert json.loads(run("pairs", "docs.txt", "--method", "first-word", "-q")) == pair


@pytest.fixture(scope="module")
def tiny(run):
    """The name of a model of the new architecture."""
    (run.folder / "words.txt").write_text("".join(f"red fox {n}\nblue fox {n}\n" for n in range(20)))
    run(
        *("pretrain", "words.txt", "--arch", "mean-mixing:layers=1,width=8", "--max-length", "24"),
        *("--vocabulary-size", "50", "--batch-size", "8", "--max-steps", "1", "-o", "tiny", "-q"),
    )
    return "tiny"


def test_a_new_architecture_is_pretrained(run, tiny):
    config = json.loads((run.folder / tiny / "config.json").read_text())
    assert (config["mixing"], config["hidden_size"]) == ("token-mlp", 8)
    assert json.loads(run("info", tiny, "--json"))["dimension"] == 8


def test_a_new_loss_of_distillation_trains(run, tiny):
    rows = (f"red {n}\tred fox {n}\tblue {n}\n" for n in range(8))
    (run.folder / "triplets.tsv").write_text("anchor\tpositive\tnegative\n" + "".join(rows))
    run(
        *("train-simcse", "triplets.tsv", "-m", tiny, "-o", "taught", "-q", "--max-length", "8"),
        *("--distill", "score-mae:factor=2", "--teacher", "hash:dim=32", "--batch-size", "8"),
    )
    made = json.loads((run.folder / "taught" / "embedkit.json").read_text())
    assert made["settings"]["distill"] == "score-mae:factor=2"


def test_a_new_loss_trains(run, tiny):
    assert "half-margin" in run("train-amsoftmax", "--help")
    run(
        *("train-amsoftmax", "labelled.csv", "-m", tiny, "-o", "model", "-q", "--max-length", "8"),
        *("--loss", "half-margin", "--batch-size", "8", "--calibrate", "0"),
    )
    made = json.loads((run.folder / "model" / "embedkit.json").read_text())
    assert "half-margin" in json.dumps(made)
