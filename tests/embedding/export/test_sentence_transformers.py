"""Exported folders against plain sentence-transformers, on tiny models: the same vectors."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import EncoderSettings, with_maps
from embedkit.embedding.export import sentence_transformers as exporting
from embedkit.embedding.export.map_file import export_map
from embedkit.embedding.export.sentence_transformers import export_model
from embedkit.embedding.loading import load
from embedkit.errors import DataError, ExistsError, FormatError, MismatchError, ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close

RNG = np.random.default_rng(0)
POOLINGS = ("mean", "cls", "max", "first-last", "last2", "embedding")
FAMILIES = ("bert", "plain-bert", "dense", "mpnet", "roberta", "distilbert")


def turn(width: int, dim: int = 7) -> AffineMap:
    """Return a map of random numbers with an offset that shows."""
    return AffineMap(RNG.normal(size=(dim, width)), RNG.normal(size=dim) + 2, {"spec": "centre", "rows": 5})


def plain(folder: Path, prompt_name: str | None = None) -> np.ndarray[Any, Any]:
    """Return the vectors of TEXTS by plain sentence-transformers, one text at a time, as a stranger would."""
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        how: Any = {"batch_size": 1, "show_progress_bar": False, "prompt_name": prompt_name}
        return np.asarray(model.encode(TEXTS, **how))


def by_hand(base: Any, transform: AffineMap) -> np.ndarray[Any, Any]:
    """Return A x + b of the encoder's vectors in float64, at unit length where they had it."""
    mapped = base.encode(TEXTS).astype(np.float64) @ transform.A.T + transform.b
    lengths = np.linalg.norm(mapped, axis=1, keepdims=True) if base.identity.normalized else 1
    return np.asarray(mapped / lengths)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_gives_the_mapped_vectors(tiny: ModelMaker, tmp_path: Path, family: str) -> None:
    base: Any = load(str(tiny(family)), runtime="torch", device="cpu")
    transform = turn(base.identity.dimension)
    made = export_model(tmp_path / "out", EncoderSettings(str(tiny(family))), [transform])
    expected = by_hand(base, transform)
    assert_close(plain(tmp_path / "out"), expected)
    for runtime in ("torch", "openvino"):
        encoder = load(str(tmp_path / "out"), runtime=runtime, precision="fp32", device="cpu")
        assert_close(encoder.encode(TEXTS), expected, within=2e-5)
        assert encoder.identity == made
    assert made.fingerprint != base.identity.fingerprint
    assert (made.normalized, made.dimension) == (base.identity.normalized, 7)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["bert", "distilbert", "plain-bert"])
def test_every_pooling_is_baked_in(tiny: ModelMaker, tmp_path: Path, pooling: Any, family: str) -> None:
    settings = EncoderSettings(str(tiny(family)), pooling=pooling, runtime="torch", device="cpu")
    expected = load(settings).encode(TEXTS)
    made = export_model(tmp_path / "out", settings)
    assert_close(plain(tmp_path / "out"), expected)
    for runtime in ("torch", "openvino"):
        found = load(str(tmp_path / "out"), runtime=runtime, precision="fp32").encode(TEXTS)
        assert_close(found, expected, within=2e-5)
    assert made.dimension == 32


def test_the_pooler_is_baked_in_where_there_is_one(tiny: ModelMaker, tmp_path: Path) -> None:
    settings = EncoderSettings(str(tiny("plain-bert")), pooling="pooler", runtime="torch", device="cpu")
    transform = turn(32)
    export_model(tmp_path / "out", settings, [transform])
    expected = by_hand(load(settings), transform)
    assert_close(plain(tmp_path / "out"), expected)
    with pytest.raises(ModelError, match="have no pooler"):
        export_model(tmp_path / "no", EncoderSettings(str(tiny("distilbert")), pooling="pooler"))


@pytest.mark.parametrize(
    "settings",
    [
        {"truncate_dim": 9},
        {"truncate_dim": 9, "normalize": False},
        {"normalize": False},
        {"max_length": 6},
        {"max_length": 6, "pooling": "first-last", "truncate_dim": 20},
        {"document_prompt": "how do i "},
        {"document_prompt": "how do i ", "query_prompt": "the old ", "pooling": "cls"},
    ],
)
@pytest.mark.parametrize("family", ["bert", "plain-bert", "dense"])
def test_what_was_asked_for_is_baked_in(
    tiny: ModelMaker, tmp_path: Path, family: str, settings: dict[str, Any]
) -> None:
    if family == "dense":  # its Dense step wants its own two poolings
        settings = {name: value for name, value in settings.items() if name != "pooling"}
    asked = EncoderSettings(str(tiny(family)), runtime="torch", device="cpu", **settings)
    base: Any = load(asked)
    transform = turn(base.identity.dimension)
    made = export_model(tmp_path / "out", asked, [transform])
    assert_close(plain(tmp_path / "out"), by_hand(base, transform))
    wanted = with_maps(base, [transform]).encode(TEXTS, "query")
    assert_close(plain(tmp_path / "out", "query"), wanted)
    opened = load(str(tmp_path / "out"), runtime="torch", device="cpu")
    assert_close(opened.encode(TEXTS, "query"), wanted)
    said = (base.identity.document_prompt, base.identity.query_prompt, base.identity.max_length)
    assert (made.document_prompt, made.query_prompt, made.max_length) == said


def test_two_maps_become_one_step(tiny: ModelMaker, tmp_path: Path) -> None:
    first, second = turn(32, 9), turn(9, 4)
    export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), [first, second])
    steps = [Path(entry["path"]).name for entry in json.loads((tmp_path / "out/modules.json").read_text())]
    assert steps == ["", "1_Pooling", "2_Normalize", "3_Dense", "4_Normalize"]
    base = load(str(tiny("bert")), runtime="torch", device="cpu")
    assert_close(plain(tmp_path / "out"), by_hand(base, first.then(second)))


def test_weights_stored_as_halves_are_computed_in_full(tiny: ModelMaker, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    shutil.copytree(tiny("plain-bert"), tmp_path / "half")
    AutoModel.from_pretrained(tmp_path / "half", dtype=torch.float16).save_pretrained(tmp_path / "half")
    assert json.loads((tmp_path / "half/config.json").read_text())["dtype"] == "float16"
    export_model(tmp_path / "out", EncoderSettings(str(tmp_path / "half")), [turn(32)])
    expected = load(str(tmp_path / "out"), runtime="torch", device="cpu").encode(TEXTS)
    assert_close(plain(tmp_path / "out"), expected)


def test_the_folder_is_safetensors_with_a_card_and_a_story(tiny: ModelMaker, tmp_path: Path) -> None:
    transform = turn(32)
    export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), [transform])
    files = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*")}
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl", ".tmp"))]
    story = json.loads((tmp_path / "out/embedkit.json").read_text())
    assert (story["format"], story["version"]) == ("embedkit-model", 1)
    assert story["map"]["fingerprint"] == transform.fingerprint
    assert story["base"]["fingerprint"] == load(str(tiny("bert"))).identity.fingerprint
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    assert "7\ndimensions at unit length" in card
    assert str(tiny("bert").parent) not in card


def test_only_the_encoder_travels(tiny: ModelMaker, tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "trained")
    for name in ("labels.safetensors", "log.jsonl", "optimizer.bin", "training_args.bin"):
        (tmp_path / "trained" / name).write_bytes(b"\0" * 8)
    export_model(tmp_path / "out", EncoderSettings(str(tmp_path / "trained")))
    names = os.listdir(tmp_path / "out")
    assert not {"labels.safetensors", "log.jsonl", "optimizer.bin", "training_args.bin"} & {*names}


def test_other_vectors_are_never_put_in_place(
    tiny: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = exporting.steps_of
    monkeypatch.setattr(exporting, "steps_of", lambda *given: original(*given)[:-1])  # loses the unit length
    with pytest.raises(ModelError, match=r"out: the folder would give other vectors \(by "):
        export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), [turn(32)])
    assert os.listdir(tmp_path) == []


def test_a_model_whose_vectors_are_not_finite_is_named_and_not_exported(
    tiny: ModelMaker, tmp_path: Path
) -> None:
    """It was said that the folder would give other vectors (by nan)."""
    shutil.copytree(tiny("bert"), tmp_path / "nan")
    weights = load_file(tmp_path / "nan/model.safetensors")
    weights["encoder.layer.1.output.dense.weight"] = weights["encoder.layer.1.output.dense.weight"] * np.nan
    save_file(weights, tmp_path / "nan/model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError) as caught:
        export_model(tmp_path / "out", EncoderSettings(str(tmp_path / "nan")))
    assert str(caught.value) == f"{tmp_path / 'nan'}: gives vectors that are not finite"
    assert os.listdir(tmp_path) == ["nan"]


def test_only_models_are_replaced_and_only_by_force(tiny: ModelMaker, tmp_path: Path) -> None:
    settings = EncoderSettings(str(tiny("bert")))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(ExistsError, match="is a folder that contains other files"):
        export_model(tmp_path / "mine", settings, force=True)
    first = export_model(tmp_path / "out", settings)
    with pytest.raises(ExistsError, match="already exists"):
        export_model(tmp_path / "out", settings, [turn(32)])
    second = export_model(tmp_path / "out", settings, [turn(32)], force=True)
    assert (first.dimension, second.dimension) == (32, 7)
    assert sorted(os.listdir(tmp_path)) == ["mine", "out"]


def test_a_model_may_be_replaced_by_its_own_export(tiny: ModelMaker, tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "m")
    base = load(str(tmp_path / "m"), runtime="torch", device="cpu")
    transform = turn(32)
    expected = by_hand(base, transform)
    export_model(tmp_path / "m", EncoderSettings(str(tmp_path / "m")), [transform], force=True)
    assert_close(plain(tmp_path / "m"), expected)


def test_what_cannot_be_exported_is_one_line(tiny: ModelMaker, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^hash:dim=8: sentence-transformers cannot load") as raised:
        export_model(tmp_path / "out", EncoderSettings("hash:dim=8"))
    assert "\n" not in str(raised.value)
    with pytest.raises(MismatchError, match="the map expects 33 dimensions"):
        export_model(tmp_path / "out", EncoderSettings(str(tiny("bert"))), [turn(33)])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("shape", [(3, 8), (8, 8), (12, 8)])
def test_faiss_reads_the_map_and_maps_the_same(tmp_path: Path, shape: tuple[int, int]) -> None:
    import faiss

    transform = AffineMap(RNG.normal(size=shape), RNG.normal(size=shape[0]), {})
    export_map(tmp_path / "m.faiss", transform, "faiss")
    rows = RNG.normal(size=(9, 8)).astype(np.float32)
    linear = faiss.read_VectorTransform(str(tmp_path / "m.faiss"))
    np.testing.assert_allclose(linear.apply(rows), rows @ transform.A.T + transform.b, rtol=1e-5, atol=1e-5)
    assert (linear.d_in, linear.d_out) == shape[::-1]


def test_torch_loads_the_weights_of_a_linear_layer(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    transform = turn(8, 3)
    export_map(tmp_path / "m.safetensors", transform, "safetensors")
    linear = torch.nn.Linear(8, 3)
    linear.load_state_dict(load_file(tmp_path / "m.safetensors"))
    rows = RNG.normal(size=(9, 8)).astype(np.float32)
    found = linear(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, rows @ transform.A.T + transform.b, rtol=1e-5, atol=1e-5)
    with pytest.raises(FormatError, match="is not a map"):
        AffineMap.load(tmp_path / "m.safetensors")  # which has no story


@pytest.mark.parametrize("format", ["faiss", "safetensors"])
def test_a_map_beyond_float32_is_refused(tmp_path: Path, format: Any) -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(DataError, match="has numbers that are too large for float32"),
    ):
        export_map(tmp_path / "m", AffineMap(np.full((2, 2), 1e39), np.zeros(2), {}), format)
    assert os.listdir(tmp_path) == []
