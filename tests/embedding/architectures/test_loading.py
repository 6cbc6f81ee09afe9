"""Folders with a network of embedkit's own encode, compile and export like others, or are refused."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
import torch

from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.export.sentence_transformers import copy_model, export_model
from embedkit.embedding.loading import load
from embedkit.errors import ModelError
from tests.embedding.architectures.examples import MAX_LENGTH, OPTIONS, SIZES, saved, tiny
from tests.embedding.conftest import TEXTS, assert_close, word_pieces

OWN = [
    f"{kind}:{SIZES[kind]}" + (f",{options}" if options else "")
    for kind in OPTIONS
    for options in OPTIONS[kind]
    if options or kind not in ("bert", "pre-norm")
]
COMPILED = (
    "deepnorm:layers=2,width=8,heads=2,positions=rotary,scale=log-length",
    "gau:layers=2,width=8,key_size=4",
    "gau:layers=2,width=8,key_size=4,attention=relu-squared,normalization=pre",
    "linear:layers=2,width=8,heads=2,features=performer,count=6,positions=rotary",
    "mlp:layers=2,width=8,positions_size=6,normalization=pre,activation=squareplus",
)


def expected_vectors(text: str) -> Any:
    """Return the means of the network's token vectors, one text at a time."""
    tokenizer = word_pieces()
    model = tiny(text, vocabulary=tokenizer.get_vocab_size(), dtype=torch.float32)
    tokenizer.enable_truncation(MAX_LENGTH)
    rows = []
    for each in TEXTS:
        ids = torch.tensor([tokenizer.encode(each).ids])
        with torch.inference_mode():
            rows.append(model(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("text", OWN)
def test_a_folder_encodes(text, tmp_path):
    encoder = load(str(saved(text, tmp_path / "model")), runtime="torch", device="cpu")
    assert encoder.identity.dimension == 8
    assert_close(encoder.encode(TEXTS), expected_vectors(text), within=2e-5)


@pytest.mark.parametrize("text", COMPILED)
def test_a_folder_is_compiled(text, tmp_path, caplog):
    encoder = load(str(saved(text, tmp_path / "model")), runtime="openvino", precision="fp32")
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        assert_close(encoder.encode(TEXTS), expected_vectors(text), within=2e-5)
    assert not caplog.records


def test_layers_are_pooled_as_those_of_other_models(tmp_path):
    text = "deepnorm:layers=2,width=8,heads=2"
    folder = saved(text, tmp_path / "model")
    found = load(str(folder), runtime="torch", device="cpu", pooling="first-last").encode(["hello"])
    tokenizer = word_pieces()
    model = tiny(text, vocabulary=tokenizer.get_vocab_size(), dtype=torch.float32)
    ids = torch.tensor([tokenizer.encode("hello").ids])
    states = model(input_ids=ids, output_hidden_states=True).hidden_states
    assert_close(found, ((states[1] + states[-1]) / 2).mean(dim=1).detach().numpy())


def test_deepnorm_is_exported_as_the_bert_that_equals_it(tmp_path):
    from transformers import AutoModel, BertModel

    folder = saved("deepnorm:layers=2,width=8,heads=2", tmp_path / "model")
    made = export_model(tmp_path / "out", EncoderSettings(str(folder)))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "bert"
    plain = AutoModel.from_pretrained(tmp_path / "out", local_files_only=True, add_pooling_layer=False)
    assert isinstance(plain, BertModel)
    assert made.dimension == 8
    found = load(str(tmp_path / "out"), runtime="torch", device="cpu").encode(TEXTS)
    assert_close(found, load(str(folder), runtime="torch", device="cpu").encode(TEXTS))


@pytest.mark.parametrize("text", [text for text in OWN if text != "deepnorm:layers=2,width=8,heads=2"])
def test_other_networks_are_not_exported(text, tmp_path):
    folder = saved(text, tmp_path / "model")
    with pytest.raises(ModelError, match="network that sentence-transformers does not know") as refused:
        export_model(tmp_path / "out", EncoderSettings(str(folder)))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_network_is_copied_as_it_is(tmp_path):
    folder = saved("gau:layers=2,width=8,key_size=4", tmp_path / "model")
    copy_model(tmp_path / "copy", EncoderSettings(str(folder)))
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["model_type"] == "embedkit-encoder"
    found = load(str(tmp_path / "copy"), runtime="torch", device="cpu").encode(TEXTS)
    assert_close(found, load(str(folder), runtime="torch", device="cpu").encode(TEXTS))


def test_rotary_positions_read_longer_texts_than_were_trained(tmp_path):
    folder = saved("gau:layers=2,width=8,key_size=4", tmp_path / "model")
    long = " ".join("abcdefghij" * 4)
    first, second = load(str(folder), runtime="torch", device="cpu", max_length=64).encode(
        [long, long + " k"]
    )
    assert np.abs(first - second).max() > 1e-4
    with pytest.raises(ModelError, match="positions for 12 tokens"):
        load(str(saved("mlp:layers=1,width=8", tmp_path / "mlp")), max_length=64)
