"""Every pooling against its definition, written out over the hidden states that transformers gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from embedkit.embedding.encoder import PoolingName
from embedkit.embedding.loading import load
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close

POOLINGS = get_args(PoolingName)


def by_definition(folder: Path, pooling: str) -> np.ndarray[Any, Any]:
    """Pool each text by itself, without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    definitions: dict[str, Callable[[list[Any]], Any]] = {
        "mean": lambda states: states[-1].mean(0),
        "cls": lambda states: states[-1][0],
        "max": lambda states: states[-1].max(0).values,
        "first-last": lambda states: ((states[1] + states[-1]) / 2).mean(0),
        "last2": lambda states: ((states[-2] + states[-1]) / 2).mean(0),
        "embedding": lambda states: states[0].mean(0),
        "pooler": lambda states: model.pooler.dense(states[-1][0]),
    }
    rows = []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            outputs = model(**inputs, output_hidden_states=True)
            rows.append(definitions[pooling]([state[0] for state in outputs.hidden_states]))
    return np.asarray(torch.stack(rows))


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_each_pooling_is_what_its_definition_says(tiny: ModelMaker, pooling: str, runtime: str) -> None:
    folder = tiny("plain-bert")
    encoder = load(str(folder), pooling=pooling, runtime=runtime, precision="fp32", device="cpu")
    assert_close(encoder.encode(TEXTS), by_definition(folder, pooling), within=2e-5)
    assert encoder.identity.pooling == pooling


@pytest.mark.parametrize("family", ["mpnet", "distilbert"])
def test_layers_are_counted_alike_in_other_families(tiny: ModelMaker, family: str) -> None:
    for pooling in ("first-last", "embedding"):
        encoder = load(str(tiny(family)), pooling=pooling, runtime="openvino", precision="fp32")
        assert_close(encoder.encode(TEXTS), by_definition(tiny(family), pooling), within=2e-5)


def test_the_poolings_differ(tiny: ModelMaker) -> None:
    folder = str(tiny("plain-bert"))
    found = [load(folder, pooling=name, runtime="torch", device="cpu").encode(TEXTS[:1]) for name in POOLINGS]
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            assert np.abs(one - other).max() > 1e-3


def test_a_model_without_a_pooler_is_refused(tiny: ModelMaker) -> None:
    with pytest.raises(ModelError, match=r"no pooler"):
        load(str(tiny("distilbert")), pooling="pooler").encode(["a"])


def test_a_pooler_that_was_never_saved_is_refused_not_made_up(tiny: ModelMaker, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(tiny("plain-bert"), folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("pooler")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="its weights have no pooler"):
        load(str(folder), pooling="pooler")
    load(str(folder), pooling="cls", runtime="torch", device="cpu").encode(["a"])
