"""Exported models with some layers, against the hidden states of the whole model in plain transformers."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from embedkit.data.tensors import take_tensors
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.export.sentence_transformers import export_model
from embedkit.embedding.loading import load
from embedkit.errors import ModelError, UsageError
from tests.embedding.conftest import ModelMaker

FAMILIES = ("bert", "plain-bert", "dense", "mpnet", "roberta", "distilbert")
TEXTS = ["the quick brown fox", "how do i copy a whole directory tree"]


def opened(folder: Path) -> Any:
    """Return the folder as a stranger opens it."""
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()


def hidden_states(model: Any, text: str) -> Any:
    features = model.tokenizer([text], return_tensors="pt")
    features.pop("token_type_ids", None)
    with torch.no_grad():
        return model[0].auto_model(**features, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_layers_give_the_hidden_states_after_them(
    tiny: ModelMaker, tmp_path: Path, family: str
) -> None:
    made = export_model(tmp_path / "out", EncoderSettings(str(tiny(family))), layers=[0, 1])
    student, whole = opened(tmp_path / "out"), opened(tiny(family))
    for text in TEXTS:
        found, expected = hidden_states(student, text), hidden_states(whole, text)
        assert (len(found), len(expected)) == (3, 4)
        torch.testing.assert_close(found[-1], expected[2], rtol=1e-5, atol=1e-5)
    assert made.fingerprint != load(str(tiny(family))).identity.fingerprint
    ours = load(str(tmp_path / "out"), runtime="torch", precision="fp32").encode(TEXTS)
    np.testing.assert_allclose(ours, student.encode(TEXTS), atol=1e-5 * max(1, np.abs(ours).max()))


def test_other_layers_follow_each_other(tiny: ModelMaker, tmp_path: Path) -> None:
    """Layer 2 after layer 0, by calling the whole model's layers."""
    export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), layers=[0, 2])
    student, whole = opened(tmp_path / "out"), opened(tiny("bert"))
    for text in TEXTS:
        with torch.no_grad():
            expected = whole[0].auto_model.encoder.layer[2](hidden_states(whole, text)[1])
        expected = expected[0] if isinstance(expected, tuple) else expected
        found = hidden_states(student, text)[-1]
        torch.testing.assert_close(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-5)
    story = json.loads((tmp_path / "out/embedkit.json").read_text())
    assert story["layers"] == [0, 2]
    assert "| layers of the base | 0, 2 |" in (tmp_path / "out/README.md").read_text()


def test_all_layers_are_the_model_itself(tiny: ModelMaker, tmp_path: Path) -> None:
    export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), layers=[0, 1, 2])
    for text in TEXTS:
        found, expected = (hidden_states(opened(folder), text) for folder in (tmp_path / "out", tiny("bert")))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layers", [[], [3], [-1, 0], [1, 0], [0, 0]])
def test_layers_that_do_not_exist_are_refused(tiny: ModelMaker, tmp_path: Path, layers: list[int]) -> None:
    with pytest.raises(UsageError, match=r"`layers`: must be rising numbers from 0 to 2, .* has 3 layers"):
        export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), layers=layers)
    assert not (tmp_path / "out").exists()


def test_models_whose_layers_cannot_be_taken_are_one_line(tiny: ModelMaker, tmp_path: Path) -> None:
    shutil.copytree(tiny("plain-bert"), tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_text())
    types = ["full_attention", "sliding_attention", "full_attention"]
    (tmp_path / "m/config.json").write_text(json.dumps(config | {"layer_types": types}))
    export_model(tmp_path / "typed", EncoderSettings(str(tmp_path / "m")), layers=[0, 1])
    assert json.loads((tmp_path / "typed/config.json").read_text())["layer_types"] == types[:2]
    (tmp_path / "m/config.json").write_text(json.dumps(config))
    tensors = load_file(tmp_path / "m/model.safetensors")
    again = {name.replace("encoder.layer.2.", "encoder.layers.2."): value for name, value in tensors.items()}
    save_file(again, tmp_path / "m/model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError):
        export_model(tmp_path / "out", EncoderSettings(str(tmp_path / "m")), layers=[0])
    assert not (tmp_path / "out").exists()


def test_tensors_are_taken_as_they_are(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    tensors = {name: chance.normal(size=(n + 1, 3)).astype(np.float32) for n, name in enumerate("abcd")}
    save_file(tensors, tmp_path / "t.safetensors", {"format": "pt"})
    take_tensors(tmp_path / "t.safetensors", {"d": "x", "a": "a"})
    found = load_file(tmp_path / "t.safetensors")
    assert found.keys() == {"x", "a"}
    np.testing.assert_array_equal(found["x"], tensors["d"])
    np.testing.assert_array_equal(found["a"], tensors["a"])
