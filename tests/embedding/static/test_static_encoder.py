"""Static encoders give the vectors of the library whose layout they have, without a library of networks."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from embedkit.embedding.loading import load
from embedkit.embedding.static import static_encoder
from embedkit.errors import ModelError, UsageError
from tests.embedding.static.conftest import LINES, make_tokenizer

TEXTS = [
    *LINES,
    "",
    "   ",
    "unknown ☃ words 🫀 zzz",
    "a " * 300,
    "\x0bodd\x0c\u00a0 spaces\u3000here\tand\nthere",
]


def largest_difference(found, expected) -> float:
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())


@pytest.mark.parametrize(
    ("kind", "below", "normalize"),
    [
        ("wordpiece", "", True),
        ("wordpiece", "0_StaticEmbedding", False),
        ("unigram", ".", True),
        ("bytes", "", True),
    ],
)
def test_vectors_are_those_of_sentence_transformers(static_folder, kind, below, normalize):
    from sentence_transformers import SentenceTransformer

    folder = static_folder(kind, below=below, normalize=normalize)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, show_progress_bar=False)
    found = load(str(folder)).encode(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 24), np.float32)
    assert largest_difference(found, expected) < 1e-5 * np.linalg.norm(expected, axis=1).max()


def test_many_texts_have_the_vectors_that_each_has_alone(static_folder):
    encoder = load(str(static_folder()))
    texts = TEXTS * 40  # more tokens than the sum for few texts takes
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts[: len(TEXTS)]])
    assert largest_difference(together, np.tile(alone, (40, 1))) < 1e-6


def test_the_mean_is_exact(static_folder):
    folder = static_folder(normalize=False)
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = load(str(folder)).encode(LINES * 100)
    for line, vector in zip(LINES, found, strict=False):
        ids = tokenizer.encode(line, add_special_tokens=False).ids
        np.testing.assert_allclose(vector, table[ids].mean(axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("normalize", [True, False])
def test_model2vecs_own_layout_gives_its_vectors(tmp_path, quantised, normalize):
    model2vec = pytest.importorskip("model2vec")
    tokenizer, rng = make_tokenizer(), np.random.default_rng(2)
    size = tokenizer.get_vocab_size()
    table = rng.standard_normal((40 if quantised else size, 24)).astype(np.float32)
    more = {
        "weights": rng.random(size).astype(np.float32) if quantised else None,
        "token_mapping": rng.integers(0, 40, size) if quantised else None,
    }
    theirs = model2vec.StaticModel(table, tokenizer, normalize=normalize, **more)
    theirs.save_pretrained(tmp_path / "out")
    from sentence_transformers import SentenceTransformer

    listed = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS, show_progress_bar=False)
    assert largest_difference(load(str(tmp_path / "out")).encode(TEXTS), listed) < 1e-5
    (tmp_path / "out" / "modules.json").unlink()
    expected = theirs.encode(TEXTS)
    assert largest_difference(load(str(tmp_path / "out")).encode(TEXTS), expected) < 1e-5


def test_model2vecs_unigram_leaves_out_its_unknown_token(tmp_path):
    model2vec = pytest.importorskip("model2vec")
    tokenizer = make_tokenizer("unigram")
    table = np.random.default_rng(3).standard_normal((tokenizer.get_vocab_size(), 8)).astype(np.float32)
    theirs = model2vec.StaticModel(table, tokenizer)
    theirs.save_pretrained(tmp_path / "out")
    (tmp_path / "out" / "modules.json").unlink()
    texts = ["the heart ☃ of 🫀 the matter", "the air " * 900]
    assert largest_difference(load(str(tmp_path / "out")).encode(texts), theirs.encode(texts)) < 1e-5


def test_threads_are_a_number(static_folder, monkeypatch):
    encoder = load(str(static_folder()))
    expected = encoder.encode(LINES * 300)
    monkeypatch.setenv("EMBEDKIT_THREADS", "1")
    np.testing.assert_array_equal(encoder.encode(LINES * 300), expected)
    for wrong in ("x", "0", "-1", ""):
        monkeypatch.setenv("EMBEDKIT_THREADS", wrong)
        with pytest.raises(UsageError, match="EMBEDKIT_THREADS: must be a number of threads"):
            encoder.encode(LINES * 300)


def test_a_token_beyond_the_table_is_an_error(static_folder):
    folder = static_folder()
    parts = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = parts["model"]["vocab"]
    vocabulary["gap"] = len(vocabulary) + 7
    del vocabulary[
        "##s" if "##s" in vocabulary else next(word for word in vocabulary if word.startswith("##"))
    ]
    (folder / "tokenizer.json").write_text(json.dumps(parts))
    for texts in (["gap"], ["gap"] * 3000):
        with pytest.raises(ModelError, match="gives the token"):
            load(str(folder)).encode(texts)


def test_a_long_text_has_an_exact_mean(static_folder):
    folder = static_folder(normalize=False)
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = " ".join(LINES * 3000)
    expected = table[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
    for texts in ([text], [text, "", *LINES * 20, text]):
        found = load(str(folder)).encode(texts)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=3e-7)
        np.testing.assert_allclose(found[-1], expected, rtol=0, atol=3e-7)


def test_model2vecs_own_layout_is_cut_at_its_length(tmp_path):
    model2vec = pytest.importorskip("model2vec")
    tokenizer = make_tokenizer()
    table = np.random.default_rng(3).standard_normal((tokenizer.get_vocab_size(), 8)).astype(np.float32)
    theirs = model2vec.StaticModel(table, tokenizer, max_length=5)
    theirs.save_pretrained(tmp_path / "out")
    (tmp_path / "out" / "modules.json").unlink()
    encoder = load(str(tmp_path / "out"))
    assert encoder.identity.max_length == 5
    np.testing.assert_allclose(encoder.encode(LINES), theirs.encode(LINES), atol=1e-6)
    whole = model2vec.StaticModel(table, tokenizer, max_length=None).encode(LINES)
    assert largest_difference(encoder.encode(LINES), whole) > 0.1


def test_half_precision_tables_are_summed_in_full(static_folder):
    folder = static_folder(dtype="float16", normalize=False)
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(LINES[0], add_special_tokens=False).ids
    np.testing.assert_allclose(load(str(folder)).encode(LINES[:1])[0], table[ids].mean(axis=0), atol=1e-6)


def test_settings(static_folder):
    folder = str(static_folder(normalize=False))
    whole = load(folder).encode(LINES)
    np.testing.assert_array_equal(load(folder, truncate_dim=5).encode(LINES), whole[:, :5])
    unit = load(folder, normalize=True).encode(LINES)
    np.testing.assert_allclose(unit, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)
    prompted = load(folder, query_prompt="the heart ")
    np.testing.assert_array_equal(prompted.encode(["of"], "query"), load(folder).encode(["the heart of"]))
    np.testing.assert_array_equal(prompted.encode(LINES), whole)
    short = load(folder, max_length=2).encode(["one two three four"])
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    ids = tokenizer.encode("one two three four", add_special_tokens=False).ids[:2]
    table = load_file(f"{folder}/model.safetensors")["embedding.weight"]
    np.testing.assert_allclose(short[0], table[ids].mean(axis=0), atol=1e-6)


def test_the_files_decide_the_fingerprint(static_folder):
    folder = static_folder()
    before = load(str(folder)).identity.fingerprint
    table = load_file(folder / "model.safetensors")["embedding.weight"]
    table[0, 0] += 1
    save_file({"embedding.weight": table}, folder / "model.safetensors")
    changed = load(str(folder)).identity.fingerprint
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
    assert len({before, changed, load(str(folder)).identity.fingerprint}) == 3


@pytest.mark.parametrize(
    "setting", [{"pooling": "mean"}, {"runtime": "openvino"}, {"precision": "bf16"}, {"device": "cuda"}]
)
def test_settings_of_networks_are_refused(static_folder, setting):
    with pytest.raises(UsageError, match="static encoder has no such setting"):
        load(str(static_folder()), **setting)


def test_a_step_after_the_mean_is_refused(static_folder):
    folder = static_folder()
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "sentence_transformers.models.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="has a Dense step after its static vectors"):
        load(str(folder))


def test_a_table_that_is_too_small_is_refused(static_folder):
    folder = static_folder()
    table = load_file(folder / "model.safetensors")["embedding.weight"]
    save_file({"embedding.weight": table[:-1].copy()}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=rf"has {len(table)} tokens, its table has {len(table) - 1} vectors"):
        load(str(folder)).encode(["x"])


def test_weights_without_a_table_are_refused(static_folder):
    folder = static_folder()
    save_file({"other": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"its weights have no embedding\.weight and no embeddings"):
        load(str(folder))


@pytest.mark.parametrize("damage", ["tokenizer.json", "model.safetensors"])
def test_a_missing_or_damaged_file_is_one_error(static_folder, damage):
    folder = static_folder()
    (folder / damage).write_bytes((folder / damage).read_bytes()[:20])
    with pytest.raises(ModelError, match=damage):
        load(str(folder)).encode(["x"])
    (folder / damage).unlink()
    with pytest.raises(ModelError, match=damage):
        load(str(folder)).encode(["x"])


def test_no_network_library_is_imported(static_folder):
    code = (
        "import sys; from embedkit import load; "
        f"load({str(static_folder())!r}).encode(['the heart'] * 2000); "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'openvino', 'pandas'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(lengths=st.lists(st.integers(0, 30), max_size=30))
def test_blocks_are_small_and_hold_every_text_once(lengths):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(static_encoder, "_BLOCK", 4)
        patch.setattr(static_encoder, "_CHARACTERS", 20)
        blocks = static_encoder._blocks([str(place % 10) * length for place, length in enumerate(lengths)])
    assert [len(text) for block in blocks for text in block] == lengths
    for block in blocks:
        assert len(block) <= 4
        assert sum(map(len, block)) <= 20 or len(block) == 1
