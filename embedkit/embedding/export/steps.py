"""The steps of a sentence-transformers model that computes an encoder and its map, all in stock modules.

Steps have the names that every version of that library reads (`sentence_transformers.models.Dense`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.data.arrays import Float32
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import Reading
from embedkit.errors import ModelError

_STOCK = "sentence_transformers.models."
_IDENTITY = "torch.nn.modules.linear.Identity"
_TOKENS = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens"}
_LAYERS = {"first-last": (1, -1), "last2": (-2, -1), "embedding": (0,)}  # indices of hidden states


class Step(NamedTuple):
    """One step: its class, its settings and weights, or the folder that contains both."""

    type: str
    config: dict[str, Any] | None = None
    weights: dict[str, Float32] | None = None
    source: Path | None = None

    @property
    def name(self) -> str:
        """The class's name without the package."""
        return self.type.rpartition(".")[2]


NORMALIZE = Step(f"{_STOCK}Normalize")


def steps_of(
    folder: ModelFolder, reading: Reading, pooling: str | None, transform: AffineMap | None
) -> list[Step]:
    """Return the steps after the transformer: the model's own, then those of the settings, then the map.

    `pooling` replaces the model's own pooling. Raises ModelError where no stock module can replace it.
    """
    steps = own_steps(folder)
    while steps and steps[-1].name == "Normalize":
        steps.pop()
    if pooling is not None:
        steps = _replace_pooling(folder, steps, pooling)
    unit = [NORMALIZE] if reading.normalized else []
    if reading.truncate_dim is not None:
        steps.append(truncation(_width(folder), reading.truncate_dim))
    steps += unit
    if transform is not None:
        steps += [dense(transform.A, transform.b), *unit]
    return steps


def transformer_folder(folder: ModelFolder) -> Path:
    """Return the folder of a model's transformer: the subfolder that `modules.json` names, else the model's
    folder.
    """
    file = folder.path / "modules.json"
    return folder.path / orjson.loads(file.read_bytes())[0]["path"] if file.is_file() else folder.path


def own_steps(folder: ModelFolder) -> list[Step]:
    """Return the model's own steps after its transformer, as the folders that contain them."""
    file = folder.path / "modules.json"
    if not file.is_file():
        return [_pooling_step(folder, "mean")]
    entries = orjson.loads(file.read_bytes())[1:]
    return [Step(entry["type"], source=folder.path / entry["path"]) for entry in entries]


def dense(A: NDArray[np.float64], b: NDArray[np.float64]) -> Step:
    """Return the Dense step `x -> A x + b`, with A `(out, in)`."""
    config = {
        "in_features": A.shape[1], "out_features": A.shape[0], "bias": True, "activation_function": _IDENTITY,
    }  # fmt: skip
    weights = {"linear.weight": _float32(A), "linear.bias": _float32(b)}
    return Step(f"{_STOCK}Dense", config, weights)


def truncation(width: int, dim: int) -> Step:
    """Return the Dense step that keeps the first `dim` of `width` dimensions."""
    return dense(np.eye(dim, width), np.zeros(dim))


def reads_all_layers(steps: list[Step]) -> bool:
    """Return whether a step reads the hidden states of all layers, which the transformer must then output."""
    return any(step.name == "WeightedLayerPooling" for step in steps)


def _replace_pooling(folder: ModelFolder, steps: list[Step], pooling: str) -> list[Step]:
    place = next((place for place, step in enumerate(steps) if step.name == "Pooling"), None)
    if place is None:
        raise ModelError(f"has no pooling step that `pooling={pooling}` could replace", where=folder.name)
    return [*steps[:place], *_pooling_steps(folder, pooling), *steps[place + 1 :]]


def _pooling_steps(folder: ModelFolder, pooling: str) -> list[Step]:
    """Return the stock steps that pool as `pooling.pooling_step` does under this name."""
    if pooling == "pooler":
        weight, bias = _pooler(folder)
        return [_pooling_step(folder, "cls"), dense(weight, bias)]
    if pooling in _LAYERS:
        return [_layer_mean(folder, _LAYERS[pooling]), _pooling_step(folder, "mean")]
    return [_pooling_step(folder, pooling)]


def _pooling_step(folder: ModelFolder, name: str) -> Step:
    modes = {f"pooling_mode_{tokens}": known == name for known, tokens in _TOKENS.items()}
    return Step(f"{_STOCK}Pooling", {"word_embedding_dimension": _hidden_size(folder), **modes})


def _layer_mean(folder: ModelFolder, layers: tuple[int, ...]) -> Step:
    """Return the step that replaces token embeddings by the mean of these hidden states."""
    states = _config(folder, "num_hidden_layers", "n_layers", "n_layer", "num_layers") + 1
    weights = np.zeros(states, dtype=np.float32)
    weights[list(layers)] = 1
    config = {
        "word_embedding_dimension": _hidden_size(folder), "layer_start": 0, "num_hidden_layers": states - 1,
    }  # fmt: skip
    return Step(f"{_STOCK}WeightedLayerPooling", config, {"layer_weights": weights})


def _pooler(folder: ModelFolder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight and bias of the pooler's linear part; raises ModelError when the model has no pooler."""
    from safetensors import safe_open

    found: dict[str, Any] = {}
    for file in sorted(transformer_folder(folder).glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (not a mapping)
                if key.removeprefix("module.").endswith(("pooler.dense.weight", "pooler.dense.bias")):
                    found[key.rpartition(".")[2]] = tensors.get_tensor(key).double().numpy()
    if found.keys() != {"weight", "bias"}:
        raise ModelError("its weights have no pooler", where=folder.name, hint="choose another `pooling`")
    return found["weight"], found["bias"]


def _width(folder: ModelFolder) -> int:
    if folder.dimension is None:
        raise ModelError("does not state the dimension of its vectors", where=folder.name)
    return folder.dimension


def _hidden_size(folder: ModelFolder) -> int:
    return _config(folder, "hidden_size", "d_model", "dim", "n_embd")


def _config(folder: ModelFolder, *names: str) -> int:
    """Return the transformer's setting under the first of these names that is set."""
    config = orjson.loads((transformer_folder(folder) / "config.json").read_bytes())
    value = next((config[name] for name in names if config.get(name)), None)
    if value is None:
        raise ModelError(f"its config.json has no {names[0]}", where=folder.name)
    return int(value)


def _float32(numbers: NDArray[np.float64]) -> Float32:
    return np.ascontiguousarray(numbers, dtype=np.float32)
