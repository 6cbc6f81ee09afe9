"""What tests of whole runs share: runs that are killed at a step, and what they left."""

from pathlib import Path

import orjson
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


def weights(path):
    """Return the weights of a model's folder, by name."""
    return load_file(Path(path) / "model.safetensors")


def same(one, other):
    """Say whether two sets of weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log(path):
    """Return the lines of a run's log."""
    return [orjson.loads(line) for line in (Path(path) / "log.jsonl").read_bytes().splitlines()]
