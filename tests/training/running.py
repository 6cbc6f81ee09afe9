"""What tests of whole runs share: runs that are killed at a step, and what they left."""

import shutil
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file


class Killed(BaseException):
    """Ends a run as a signal would, at a step."""


def killed_at(step):
    """Return a watcher that ends the run when a step is done."""

    def watch(event):
        if event.step == step and not event.figures:
            raise Killed

    return watch


class KeptRuns:
    """What runs leave in their current folder, made once per name and copied for each test that asks.

    `folder` holds the originals, one folder per name.
    """

    def __init__(self, folder):
        self.folder = folder
        self.results = {}

    def copied(self, name, make):
        """Copy into the current folder what `make` leaves in an empty one, and return its result."""
        kept = self.folder / str(len(self.results))
        if name not in self.results:
            kept.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(kept)
                self.results[name] = kept, make()
        kept, result = self.results[name]
        shutil.copytree(kept, Path(), dirs_exist_ok=True)
        return result


def until_killed(train, *given, step, **settings):
    """Train until the run is killed after a step."""
    with pytest.raises(Killed):
        train("out", *given, watch=killed_at(step), **settings)


def weights(path):
    """Return the weights of a model's folder, by name."""
    return load_file(Path(path) / "model.safetensors")


def same(one, other):
    """Say whether two sets of weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log(path):
    """Return the lines of a run's log."""
    return [orjson.loads(line) for line in (Path(path) / "log.jsonl").read_bytes().splitlines()]
