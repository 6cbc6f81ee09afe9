"""The sentence-transformers encoder against sentence-transformers itself, on tiny models of every family."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embedkit.embedding import transformer
from embedkit.embedding.encoder import load
from embedkit.embedding.tokens import SlowTokenizer
from embedkit.embedding.torch_runtime import TorchRuntime
from embedkit.embedding.transformer import has_graphics_card
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, sentence_transformers_vectors

FAMILIES = ("bert", "plain-bert", "dense", "mpnet", "roberta", "distilbert", "without-padding")


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_sentence_transformers(tiny: ModelMaker, family: str, runtime: str) -> None:
    folder = tiny(family)
    expected = sentence_transformers_vectors(folder)
    encoder = load(str(folder), runtime=runtime, precision="fp32", device="cpu")
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    assert encoder.identity.dimension == expected.shape[1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_slow_tokenizer_runs_on_torch_and_says_so_once(
    tiny: ModelMaker, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny("slow")
    encoder = load(str(folder), device="cpu")
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = encoder.encode(TEXTS)
        encoder.encode(TEXTS)
    np.testing.assert_allclose(found, sentence_transformers_vectors(folder), atol=1e-5)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: has no fast tokenizer and cannot be compiled; runs on torch instead, "
        "--runtime torch says so beforehand"
    ]


def test_openvino_asked_for_and_impossible_is_an_error(tiny: ModelMaker) -> None:
    with pytest.raises(ModelError, match="has no fast tokenizer"):
        load(str(tiny("slow")), runtime="openvino").encode(["a"])
    with pytest.raises(ModelError, match="processor only"):
        load(str(tiny("bert")), runtime="openvino", device="cuda").encode(["a"])


def test_the_slow_tokenizer_truncates(tiny: ModelMaker) -> None:
    runtime = TorchRuntime(*_read(tiny, "slow", max_length=5))
    assert isinstance(runtime.tokenize, SlowTokenizer)
    assert [len(text.ids) for text in runtime.tokenize(["a", "abcdefgh", ""])] == [3, 5, 2]
    assert runtime.tokenize([]) == []


def test_order_and_company_do_not_matter(tiny: ModelMaker) -> None:
    encoder = load(str(tiny("bert")), runtime="torch", device="cpu")
    together = encoder.encode(TEXTS)
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(backwards, together, atol=1e-6)
    np.testing.assert_allclose(alone, together, atol=1e-6)
    assert encoder.encode([]).shape == (0, 32)


def test_truncated_vectors_are_the_first_columns_at_unit_length(tiny: ModelMaker) -> None:
    whole = sentence_transformers_vectors(tiny("bert"))[:, :8]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    for runtime in ("torch", "openvino"):
        encoder = load(str(tiny("bert")), runtime=runtime, precision="fp32", truncate_dim=8, device="cpu")
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
        assert encoder.identity.dimension == 8


def test_unit_length_can_be_taken_away_and_given(tiny: ModelMaker) -> None:
    plain = sentence_transformers_vectors(tiny("plain-bert"))
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    taken = load(str(tiny("bert")), runtime="torch", device="cpu", normalize=False)
    given = load(str(tiny("plain-bert")), runtime="torch", device="cpu", normalize=True)
    np.testing.assert_allclose(taken.encode(TEXTS), plain, atol=1e-5)
    np.testing.assert_allclose(given.encode(TEXTS), unit, atol=1e-5)
    assert (taken.identity.normalized, given.identity.normalized) == (False, True)


def test_prompts_come_before_the_text_of_their_role(tiny: ModelMaker) -> None:
    plain = load(str(tiny("bert")), runtime="torch", device="cpu")
    prompted = load(str(tiny("bert")), runtime="torch", device="cpu", query_prompt="how do i ")
    np.testing.assert_array_equal(prompted.encode(["fox"], "query"), plain.encode(["how do i fox"]))
    np.testing.assert_array_equal(prompted.encode(["fox"]), plain.encode(["fox"]))


def test_a_pooling_without_the_prompt_is_refused_where_there_is_a_prompt(tiny: ModelMaker) -> None:
    folder = str(tiny("prompted"))
    with pytest.raises(ModelError, match="leaves the prompt out of its pooling"):
        load(folder)
    without = load(folder, query_prompt="", runtime="torch", device="cpu").encode(TEXTS)
    np.testing.assert_allclose(without, sentence_transformers_vectors(tiny("prompted")), atol=1e-5)
    assert load(folder, pooling="mean").identity.query_prompt == "how do i "


def test_more_tokens_than_positions_are_refused(tiny: ModelMaker) -> None:
    for family in ("bert", "roberta", "mpnet"):
        with pytest.raises(ModelError, match="has positions for 48 tokens, --max-length asks for 49"):
            load(str(tiny(family)), max_length=49)
        load(str(tiny(family)), max_length=48, runtime="torch", device="cpu").encode(TEXTS)


def test_a_model_that_cannot_be_loaded_is_one_line(tiny: ModelMaker, tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 32}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(tmp_path), runtime="torch").encode(["a"])
    (tmp_path / "modules.json").write_text('[{"path": "", "type": "sentence_transformers.models.BoW"}]')
    with pytest.raises(ModelError, match="begins with BoW"):
        load(str(tmp_path))


def test_a_width_other_than_the_configuration_says_is_noticed(
    tiny: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(str(tiny("bert")), runtime="torch", device="cpu")
    monkeypatch.setattr(type(encoder.folder), "dimension", property(lambda folder: 31))  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="gives 32 columns where 31 were expected"):
        encoder.encode(["a"])


def test_a_model_is_loaded_once_for_many_threads(tiny: ModelMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    original = transformer.choose_runtime
    monkeypatch.setattr(transformer, "choose_runtime", lambda *given: made.append(1) or original(*given))
    encoder = load(str(tiny("bert")), runtime="torch", device="cpu")
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: encoder.encode(TEXTS)}))  # type: ignore[misc]
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    for vectors in found.values():
        np.testing.assert_array_equal(vectors, found[0])


def test_no_sign_of_a_card_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(transformer.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # importing it would fail
    assert not has_graphics_card()


def _read(tiny: ModelMaker, family: str, **settings: Any) -> tuple[Any, Any]:
    encoder: Any = load(str(tiny(family)), runtime="torch", device="cpu", **settings)
    return encoder.folder, replace(encoder.settings)
