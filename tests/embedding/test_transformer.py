"""The sentence-transformers encoder against sentence-transformers itself, on tiny models of every family."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit.embedding import transformer
from embedkit.embedding.loading import load
from embedkit.embedding.tokens import SlowTokenizer
from embedkit.embedding.torch_runtime import TorchRuntime
from embedkit.embedding.transformer import has_graphics_card
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close, sentence_transformers_vectors

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
    assert_close(found, expected)


def test_a_slow_tokenizer_runs_on_torch_and_says_so_once(
    tiny: ModelMaker, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny("slow")
    encoder = load(str(folder), device="cpu")
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = encoder.encode(TEXTS)
        encoder.encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(folder))
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: has no fast tokenizer and cannot be compiled; falling back to torch; "
        "set `runtime=torch` to skip this attempt"
    ]


@pytest.mark.parametrize(("positions", "runtime"), [(4, "torch"), (8, "openvino"), (11, "openvino")])
def test_a_model_of_few_positions_is_not_asked_for_more(
    tiny: ModelMaker, tmp_path: Path, positions: int, runtime: str
) -> None:
    from transformers import BertConfig, BertModel

    folder = shutil.copytree(tiny("plain-bert"), tmp_path / "few")
    config = BertConfig.from_pretrained(folder, max_position_embeddings=positions)
    BertModel(config).save_pretrained(folder)
    found = load(str(folder), runtime=runtime, precision="fp32", device="cpu").encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(folder))


@pytest.mark.parametrize(
    ("family", "runtime", "share"), [("bert", "openvino", 55), ("bert", "torch", 55), ("slow", "torch", 46)]
)
def test_texts_that_the_vocabulary_cannot_spell_are_reported_once(
    tiny: ModelMaker, caplog: pytest.LogCaptureFixture, family: str, runtime: str, share: int
) -> None:
    encoder = load(str(tiny(family)), runtime=runtime, device="cpu")
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        encoder.encode([])
        encoder.encode(["the quick brown fox", "the lazy \u2603 dog and the old stone bridge"])
        assert not caplog.records
        encoder.encode(
            ["\u2603 \u2604 \u2605 fox", "\u2606 \u2607 \u2608"]
        )  # 6 of 7 words or 9 letters, and 4 specials
        encoder.encode(["\u2606 \u2607 \u2608"])
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"{tiny(family)}: {share} % of the tokens of these texts are unknown to "
    )


def test_openvino_asked_for_and_impossible_is_an_error(tiny: ModelMaker) -> None:
    with pytest.raises(ModelError, match="has no fast tokenizer"):
        load(str(tiny("slow")), runtime="openvino").encode(["a"])
    with pytest.raises(ModelError, match="computes only on the processor"):
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
    assert_close(backwards, together)
    assert_close(alone, together)
    assert encoder.encode([]).shape == (0, 32)


def test_truncated_vectors_are_the_first_columns_at_unit_length(tiny: ModelMaker) -> None:
    whole = sentence_transformers_vectors(tiny("bert"))[:, :8]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    for runtime in ("torch", "openvino"):
        encoder = load(str(tiny("bert")), runtime=runtime, precision="fp32", truncate_dim=8, device="cpu")
        assert_close(encoder.encode(TEXTS), expected)
        assert encoder.identity.dimension == 8


def test_unit_length_can_be_taken_away_and_given(tiny: ModelMaker) -> None:
    plain = sentence_transformers_vectors(tiny("plain-bert"))
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    taken = load(str(tiny("bert")), runtime="torch", device="cpu", normalize=False)
    given = load(str(tiny("plain-bert")), runtime="torch", device="cpu", normalize=True)
    assert_close(taken.encode(TEXTS), plain)
    assert_close(given.encode(TEXTS), unit)
    assert (taken.identity.normalized, given.identity.normalized) == (False, True)


def test_prompts_come_before_the_text_of_their_role(tiny: ModelMaker) -> None:
    plain = load(str(tiny("bert")), runtime="torch", device="cpu")
    prompted = load(str(tiny("bert")), runtime="torch", device="cpu", query_prompt="how do i ")
    np.testing.assert_array_equal(prompted.encode(["fox"], "query"), plain.encode(["how do i fox"]))
    np.testing.assert_array_equal(prompted.encode(["fox"]), plain.encode(["fox"]))


def test_a_pooling_without_the_prompt_is_refused_where_there_is_a_prompt(tiny: ModelMaker) -> None:
    folder = str(tiny("prompted"))
    with pytest.raises(ModelError, match="excludes the prompt from its pooling"):
        load(folder)
    without = load(folder, query_prompt="", runtime="torch", device="cpu").encode(TEXTS)
    assert_close(without, sentence_transformers_vectors(tiny("prompted")))
    assert load(folder, pooling="mean").identity.query_prompt == "how do i "


def test_more_tokens_than_positions_are_refused(tiny: ModelMaker) -> None:
    for family in ("bert", "roberta", "mpnet"):
        with pytest.raises(ModelError, match="has positions for 48 tokens, fewer than `max_length=49`"):
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
    with pytest.raises(ModelError, match="computes vectors of 32 dimensions, expected 31"):
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


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_types_of_tokens_reach_the_model(tiny: ModelMaker, runtime: str) -> None:
    expected = sentence_transformers_vectors(tiny("typed-bert"))
    found = load(str(tiny("typed-bert")), runtime=runtime, precision="fp32", device="cpu").encode(TEXTS)
    assert_close(found, expected)


def test_types_of_tokens_that_change_nothing_are_not_handed_on(tiny: ModelMaker) -> None:
    runtime = TorchRuntime(*_read(tiny, "plain-bert"))
    assert [text.types for text in runtime.tokenize(["the fox"])] == [None]


def test_a_model_that_compiles_for_one_shape_only_runs_on_torch(
    tiny: ModelMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """XLNet's positions become constants when it is traced."""
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = load(str(tiny("xlnet")), device="cpu").encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(tiny("xlnet")))
    (record,) = caplog.records
    assert "cannot be compiled (" in record.getMessage()
    assert "\n" not in record.getMessage()
    with pytest.raises(ModelError, match="cannot be compiled"):
        load(str(tiny("xlnet")), runtime="openvino").encode(TEXTS)


def test_a_model_that_needs_several_tokens_and_no_padding_has_each_text_alone(tiny: ModelMaker) -> None:
    """Funnel halves its tokens, the padding among them; sentence-transformers fails on its empty text."""
    from sentence_transformers import SentenceTransformer

    texts = [text for text in TEXTS if text]
    model = SentenceTransformer(str(tiny("funnel")), device="cpu", local_files_only=True)
    expected = model.encode(texts, batch_size=1, show_progress_bar=False)
    encoder = load(str(tiny("funnel")), runtime="torch", device="cpu")
    assert_close(encoder.encode(texts), expected)
    assert np.isfinite(encoder.encode(TEXTS)).all()


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_token_without_an_embedding_is_one_line(tiny: ModelMaker, tmp_path: Any, runtime: str) -> None:
    """A compiled model would read zeros in its place."""
    from tokenizers import Tokenizer

    shutil.copytree(tiny("plain-bert"), tmp_path / "m")
    tokenizer = Tokenizer.from_file(str(tmp_path / "m/tokenizer.json"))
    rows = tokenizer.get_vocab_size()
    tokenizer.add_tokens(["zyzzyva"])
    tokenizer.save(str(tmp_path / "m/tokenizer.json"))
    encoder = load(str(tmp_path / "m"), runtime=runtime, precision="fp32", device="cpu")
    assert_close(encoder.encode(TEXTS), sentence_transformers_vectors(tiny("plain-bert")))
    said = rf"m: cannot be run: its tokenizer gives the token {rows}, its embeddings cover"
    with pytest.raises(ModelError, match=said) as raised:
        encoder.encode(["the zyzzyva"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("runtime", ["torch", "auto", "openvino"])
@pytest.mark.parametrize("length", [1, 2])
def test_a_length_without_room_for_text_is_refused(
    tiny: ModelMaker, caplog: pytest.LogCaptureFixture, runtime: str, length: int
) -> None:
    """Tokenizers read all of a text when told to read one token."""
    folder = str(tiny("plain-bert"))
    with pytest.raises(ModelError) as raised:
        load(folder, runtime=runtime, device="cpu", max_length=length).encode(TEXTS)
    said = f"adds 2 special tokens per text, and `max_length={length}` leaves no room for the text"
    assert str(raised.value) == f"{folder}: {said}; allow at least 3"
    assert not caplog.records
    assert load(folder, runtime="torch", device="cpu", max_length=3).encode(["fox"]).shape == (1, 32)


@pytest.mark.parametrize("family", ["roberta", "mpnet", "bert"])
def test_a_length_beyond_the_positions_is_cut_to_them_and_said_once(
    tiny: ModelMaker, tmp_path: Any, caplog: pytest.LogCaptureFixture, family: str
) -> None:
    shutil.copytree(tiny(family), tmp_path / "m")
    reads = tmp_path / "m/sentence_bert_config.json"
    settings = json.loads(reads.read_text()) if reads.is_file() else {}
    reads.write_text(json.dumps({**settings, "max_seq_length": 99}))
    encoder = load(str(tmp_path / "m"), runtime="torch", device="cpu")
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = encoder.encode(TEXTS)
        encoder.encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(tiny(family)))  # which reads 48 tokens
    said = f"{tmp_path / 'm'}: its max_seq_length is 99, its positions cover 48 tokens; "
    assert [record.getMessage() for record in caplog.records] == [f"{said}longer texts are cut there"]
    assert encoder.identity.max_length == 48


def test_positions_that_are_computed_end_nowhere(tiny: ModelMaker, tmp_path: Any) -> None:
    from sentence_transformers import SentenceTransformer

    shutil.copytree(tiny("llama"), tmp_path / "m")
    (tmp_path / "m/sentence_bert_config.json").write_text('{"max_seq_length": 99}')
    encoder = load(str(tmp_path / "m"), runtime="torch", device="cpu")
    assert encoder.identity.max_length == 99
    model = SentenceTransformer(str(tiny("llama")), device="cpu", local_files_only=True)
    model.max_seq_length = 99
    assert_close(encoder.encode(TEXTS), model.encode(TEXTS, batch_size=1, show_progress_bar=False))
