"""Weights that the files of a model lack are refused by name, never made up; known by another name, found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.export.sentence_transformers import export_model
from embedkit.embedding.loading import load
from embedkit.embedding.weights import Report
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close, sentence_transformers_vectors

Weights = dict[str, np.ndarray[Any, Any]]


def altered(source: Path, target: Path, change: Callable[[Weights], Weights], below: str = "") -> str:
    """Copy a model with its weights changed."""
    shutil.copytree(source, target)
    file = target / below / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return str(target)


def encode(folder: str, **settings: Any) -> np.ndarray[Any, Any]:
    return load(folder, runtime="torch", device="cpu", **settings).encode(TEXTS)


@pytest.mark.parametrize("prefix", ["module.", "encoder.", "model.", "0.auto_model.", "model.bert."])
def test_weights_under_a_prefix_are_found(tiny: ModelMaker, tmp_path: Path, prefix: str) -> None:
    source = tiny("plain-bert")
    folder = altered(source, tmp_path / "m", lambda old: {prefix + name: old[name] for name in old})
    assert_close(encode(folder), sentence_transformers_vectors(source))


def test_weights_under_a_prefix_are_exported_without_it(tiny: ModelMaker, tmp_path: Path) -> None:
    source = tiny("plain-bert")
    folder = altered(source, tmp_path / "m", lambda old: {f"module.{name}": old[name] for name in old})
    export_model(tmp_path / "out", EncoderSettings(folder))
    found = sentence_transformers_vectors(tmp_path / "out")
    assert_close(found, sentence_transformers_vectors(source))


def test_missing_weights_are_refused_by_name(
    tiny: ModelMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "encoder.layer.1.output.dense.weight"
    folder = altered(
        tiny("plain-bert"), tmp_path / "m", lambda old: {key: old[key] for key in old if key != name}
    )
    said = f"{folder}: its weight files lack {name}, on which the vectors depend"
    for runtime in ("torch", "openvino", "auto"):
        with pytest.raises(ModelError) as raised:
            load(folder, runtime=runtime, device="cpu").encode(TEXTS)
        assert str(raised.value).startswith(said)
        assert "\n" not in str(raised.value)
    assert (
        not caplog.records
    )  # `auto` warned of its fallback to torch, which refused the model in the same words
    with pytest.raises(ModelError, match=name):
        export_model(tmp_path / "out", EncoderSettings(folder))


def test_only_weights_that_the_vectors_depend_on_must_be_there(tiny: ModelMaker, tmp_path: Path) -> None:
    source = tiny("plain-bert")
    folder = altered(
        source, tmp_path / "m", lambda old: {name: old[name] for name in old if "pooler" not in name}
    )
    assert_close(encode(folder), sentence_transformers_vectors(source))


def test_the_weights_of_another_model_are_refused(tiny: ModelMaker, tmp_path: Path) -> None:
    other = load_file(tiny("distilbert") / "model.safetensors")
    folder = altered(tiny("plain-bert"), tmp_path / "m", lambda old: other)
    with pytest.raises(ModelError, match=r"its weight files lack .* and \d+ more"):
        encode(folder)


def test_of_two_models_in_one_file_none_is_taken(tiny: ModelMaker, tmp_path: Path) -> None:
    def doubled(old: Weights) -> Weights:
        return {f"{side}.{name}": old[name] * factor for factor, side in enumerate("ab", 1) for name in old}

    with pytest.raises(ModelError, match="its weight files lack"):
        encode(altered(tiny("plain-bert"), tmp_path / "m", doubled))


def test_a_weight_of_another_shape_is_one_line_with_both(tiny: ModelMaker, tmp_path: Path) -> None:
    def shortened(old: Weights) -> Weights:
        return {
            name: old[name][:-3] if name.endswith("word_embeddings.weight") else old[name] for name in old
        }

    source = tiny("plain-bert")
    rows = json.loads((source / "config.json").read_text())["vocab_size"]
    said = rf"word_embeddings.weight has another shape \({rows - 3} x 32 in the files, {rows} x 32 by config"
    with pytest.raises(ModelError, match=said):
        encode(altered(source, tmp_path / "m", shortened))


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_the_weights_of_later_steps_are_required_too(tiny: ModelMaker, tmp_path: Path, change: str) -> None:
    def changed(old: Weights) -> Weights:
        if change == "missing":
            return {name: old[name] for name in old if name != "linear.weight"}
        return {name: old[name][:-1] for name in old}

    folder = altered(tiny("dense"), tmp_path / "m", changed, "2_Dense")
    with pytest.raises(ModelError, match=r"cannot be loaded: .*linear\.weight") as raised:
        encode(folder)
    assert "\n" not in str(raised.value)


def test_a_prefix_is_the_one_that_leads_to_most_of_what_is_missing() -> None:
    missing = frozenset({"layer.0.weight", "layer.1.weight", "norm.bias"})
    unexpected = frozenset({"a.layer.0.weight", "a.layer.1.weight", "a.norm.bias", "b.norm.bias", "c"})
    assert Report(missing, unexpected, {}).found_prefix() == "a."
    assert Report(missing, frozenset({"layer.2.weight", "c"}), {}).found_prefix() == ""
    assert Report(frozenset({"x"}), frozenset({"a.x", "b.x"}), {}).found_prefix() == ""
