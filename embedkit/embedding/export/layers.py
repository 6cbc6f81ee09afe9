"""A model with some of its layers only: a student to distil the whole model into (Sanh et al. 2019, arXiv
1910.01108, section 3, initialise a student by layers of its teacher).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from embedkit.data.atomic import write_whole
from embedkit.data.tensors import read_header, take_tensors
from embedkit.embedding.export.plain_vectors import open_plainly, require_vectors, vectors_of
from embedkit.errors import ModelError, UsageError

_WEIGHTS = "model.safetensors"
_COUNTS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")  # names in configurations
_TYPES = "layer_types"  # of each layer, in some configurations
_LAYER = re.compile(r"(?P<stack>(?:.+\.)?(?:layer|layers|h|block|blocks))\.(?P<number>\d+)\.(?P<rest>.+)")


class Stack(NamedTuple):
    """The layers of a transformer."""

    name: str  # of the module list, as in the names of tensors
    setting: str  # the configuration's name of their number
    size: int


def keep_layers(folder: Path, layers: Sequence[int], *, where: str) -> None:
    """Remove all layers but some from the transformer of an exported folder, and number the others anew.

    Raises UsageError for layers that do not exist, and ModelError for a model whose layers cannot be taken
    out, which is found by comparison with a model in memory.
    """
    from embedkit.embedding.conversion import SAMPLE

    stack = _stack_of(folder, where=where)
    _require_layers(layers, stack, where=where)
    expected = vectors_of(_without_layers(folder, layers, stack), SAMPLE)
    _divide(folder, layers, stack)
    require_vectors(folder, expected, where=where)


def _stack_of(folder: Path, *, where: str) -> Stack:
    """Return the layers of the transformer in a folder.

    Raises ModelError for a model whose weights are in several files, or whose layers are not numbered in one
    list.
    """
    if not (folder / _WEIGHTS).is_file():
        raise ModelError("its weights are in several files, of which no layers are taken", where=where)
    config = orjson.loads((folder / "config.json").read_bytes())
    setting = next((name for name in _COUNTS if isinstance(config.get(name), int)), None)
    matches = list(filter(None, map(_LAYER.fullmatch, read_header(folder / _WEIGHTS))))
    stacks, numbers = ({match[group] for match in matches} for group in ("stack", "number"))
    if setting is None or len(stacks) != 1 or numbers != {str(n) for n in range(config[setting])}:
        raise ModelError("has no layers that are numbered in one list", where=where)
    return Stack(stacks.pop(), setting, int(config[setting]))


def _require_layers(layers: Sequence[int], stack: Stack, *, where: str) -> None:
    """Raise UsageError unless the numbers rise and are those of layers of the model."""
    last = stack.size - 1
    if not layers or list(layers) != sorted(set(layers)) or not 0 <= layers[0] <= layers[-1] <= last:
        what = f"must be rising numbers from 0 to {last}, got {','.join(map(str, layers)) or 'none'}"
        raise UsageError(what, where="`layers`", hint=f"{where} has {stack.size} layers")


def _divide(folder: Path, layers: Sequence[int], stack: Stack) -> None:
    """Write the tensors and the configuration of some layers alone."""
    names: dict[str, str] = {}
    for name in read_header(folder / _WEIGHTS):
        match = _LAYER.fullmatch(name)
        if match is None and name != "__metadata__":
            names[name] = name
        elif match is not None and int(match["number"]) in layers:
            names[name] = f"{stack.name}.{layers.index(int(match['number']))}.{match['rest']}"
    take_tensors(folder / _WEIGHTS, names)
    config = orjson.loads((folder / "config.json").read_bytes()) | {stack.setting: len(layers)}
    if len(types := config.get(_TYPES) or ()) == stack.size:
        config[_TYPES] = [types[number] for number in layers]
    write_whole(folder / "config.json", orjson.dumps(config, option=orjson.OPT_INDENT_2) + b"\n")


def _without_layers(folder: Path, layers: Sequence[int], stack: Stack) -> Any:
    """Return the model of a folder, whose other layers are removed in memory."""
    import torch

    model = open_plainly(folder)
    transformer = model[0].auto_model
    parent, _, name = stack.name.rpartition(".")
    holder = transformer.get_submodule(parent)
    modules = getattr(holder, name)
    setattr(holder, name, torch.nn.ModuleList([modules[number] for number in layers]))
    setattr(transformer.config, stack.setting, len(layers))
    return model
