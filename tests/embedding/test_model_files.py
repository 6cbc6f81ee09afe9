"""Which files of a model's folder count, and what is understood of those that other programs wrote."""

from __future__ import annotations

import ast
import ctypes
import importlib.util
import json
import os
import shutil
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file, save_file

from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.loading import load
from embedkit.embedding.model_files import HUB_FIRST, hub_patterns
from embedkit.embedding.model_finding import find_model
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import identify
from embedkit.errors import EmbedkitError, FormatError, ModelError
from tests.embedding.conftest import WORDS, ModelMaker, byte_pairs, save_steps

# Read by loading, yet not a file that counts: prompts count by their text, and cards decide nothing.
NOT_COUNTED = {"config_sentence_transformers.json", "README.md"}
# What folders hold besides the model; the names that end in .bin and .pt are pickles.
DECOYS = (
    "README.md", "training.log", "optimizer.pt", "training_args.bin", "trainer_state.json", "rng_state.pth",
    "openvino/openvino_model.bin", "openvino/openvino_model.xml", "onnx/model.onnx", "model.onnx_data",
    "checkpoint-10/pytorch_model.bin", "checkpoint-10/model.safetensors", "checkpoint-10/config.json",
    "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "eval/similarity.csv",
    "embedkit.json", "log.jsonl", "0_Other/model.safetensors", "0_Other/vocab.txt", "head/README.md",
)  # fmt: skip


def _entries(folder: Path) -> Any:
    return json.loads((folder / "modules.json").read_bytes())


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def _move_transformer(folder: Path) -> None:
    """Put the transformer in a folder of its own, as sentence-transformers did in its first versions."""
    below = folder / "0_Transformer"
    below.mkdir()
    for file in [*folder.iterdir()]:
        if file.is_file() and file.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.move(file, below)
    entries = _entries(folder)
    entries[0]["path"] = below.name
    _write(folder / "modules.json", entries)
    _add_word_pieces(below)


def _rename_dense(folder: Path) -> None:
    (folder / "2_Dense").rename(folder / "head")
    entries = _entries(folder)
    entries[2]["path"] = "head"
    _write(folder / "modules.json", entries)


def _cut_into_shards(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    for number, (name, tensor) in enumerate(tensors.items()):
        [*shards.values()][number % 2][name] = tensor
    for file, part in shards.items():
        save_file(part, folder / file, {"format": "pt"})
    weight_map = {name: file for file, part in shards.items() for name in part}
    _write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def _add_word_pieces(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    _write(folder / "special_tokens_map.json", {"pad_token": "[PAD]", "cls_token": "[CLS]"})
    _write(folder / "added_tokens.json", {"[MORE]": len(vocabulary)})


def _add_byte_pairs(folder: Path) -> None:
    byte_pairs().model.save(str(folder))


def _add_sentence_pieces(folder: Path) -> None:
    for name in ("sentencepiece.bpe.model", "spiece.model", "source.spm"):
        (folder / name).write_bytes(b"\n\x0e\n\x05<unk>")


LAYOUTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "root": ("dense", lambda folder: None),
    "own folder": ("dense", _move_transformer),
    "plain": ("plain-bert", lambda folder: None),
    "odd name": ("dense", _rename_dense),
    "shards": ("dense", _cut_into_shards),
    "word pieces": ("bert", _add_word_pieces),
    "byte pairs": ("roberta", _add_byte_pairs),
    "no fast tokenizer": ("slow", lambda folder: None),
}
UNLOADED = {"sentence pieces": ("plain-bert", _add_sentence_pieces)}


@pytest.fixture
def layout(request: pytest.FixtureRequest, tiny: ModelMaker, tmp_path: Path) -> Path:
    """Return a copy of a tiny model in the layout that the test asks for."""
    source, change = (LAYOUTS | UNLOADED)[request.param]
    folder = tmp_path / "model"
    shutil.copytree(tiny(source), folder)
    change(folder)
    return folder


every_layout = pytest.mark.parametrize("layout", [*LAYOUTS, *UNLOADED], indirect=True)


def _names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def _fingerprint(folder: Path) -> str:
    return load(str(folder)).identity.fingerprint


def _change(file: Path) -> None:
    """Change one byte-relevant thing of a file, which stays readable."""
    content = bytearray(file.read_bytes())
    if file.suffix == ".json":
        file.write_bytes(b" " + content)
    elif file.suffix == ".safetensors":
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content + b"\n")


@contextmanager
def opened_below(folder: Path) -> Iterator[set[str]]:
    """Collect the files of a folder that are opened meanwhile, by whatever language, as the kernel says."""
    opened, is_folder, header = 0x20, 0x40000000, struct.Struct("iIII")
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.inotify_init1(os.O_NONBLOCK)
    names: set[str] = set()
    places = {
        libc.inotify_add_watch(events, os.fsencode(place), opened): place
        for place in (folder, *(place for place in folder.rglob("*") if place.is_dir()))
    }
    assert -1 not in places
    try:
        yield names
        content, at = os.read(events, 1 << 22), 0
        while at < len(content):
            place, mask, _, length = header.unpack_from(content, at)
            at += header.size + length
            if not mask & is_folder:
                name = content[at - length : at].rstrip(b"\0")
                names.add((places[place] / os.fsdecode(name)).relative_to(folder).as_posix())
    finally:
        os.close(events)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which files are opened")
@pytest.mark.parametrize("layout", [*LAYOUTS], indirect=True)
def test_every_file_that_sentence_transformers_opens_counts(layout: Path) -> None:
    from sentence_transformers import SentenceTransformer

    for name in DECOYS:
        (layout / name).parent.mkdir(exist_ok=True)
        (layout / name).write_bytes(b"")
    with opened_below(layout) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SentenceTransformer(str(layout), device="cpu", local_files_only=True)
    assert any(name.endswith(".safetensors") for name in opened)
    assert opened - NOT_COUNTED <= set(ModelFolder("it", layout).files)
    assert not opened & (set(DECOYS) - NOT_COUNTED)


@every_layout
def test_changing_any_file_that_decides_the_vectors_changes_the_fingerprint(layout: Path) -> None:
    before = _fingerprint(layout)
    found = {before}
    names = _names(layout) - NOT_COUNTED
    for name in names:
        content = (layout / name).read_bytes()
        _change(layout / name)
        found.add(_fingerprint(layout))
        (layout / name).write_bytes(content)
    assert len(found) == len(names) + 1
    assert _fingerprint(layout) == before


@every_layout
def test_files_that_loading_leaves_alone_change_nothing_and_are_not_refused(layout: Path) -> None:
    before = _fingerprint(layout)
    for name in DECOYS:
        (layout / name).parent.mkdir(exist_ok=True)
        (layout / name).write_bytes(b"\x80\x04N.")  # the pickle of None
    assert _fingerprint(layout) == before


def test_two_models_that_differ_in_the_head_only_are_told_apart(tiny: ModelMaker, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        shutil.copytree(tiny("dense"), folder)
        _rename_dense(folder)
    tensors = load_file(other / "head/model.safetensors")
    save_file({name: -tensor for name, tensor in tensors.items()}, other / "head/model.safetensors")
    assert not np.array_equal(load(str(one), runtime="torch").encode(["fox"]),
                              load(str(other), runtime="torch").encode(["fox"]))  # fmt: skip
    assert _fingerprint(one) != _fingerprint(other)


def test_every_vocabulary_file_that_transformers_knows_counts(tiny: ModelMaker, tmp_path: Path) -> None:
    names = set(_vocabulary_files())
    assert {"vocab.txt", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.json"} <= names
    folder = tmp_path / "model"
    shutil.copytree(tiny("plain-bert"), folder)
    for name in names:
        if not (folder / name).exists():
            (folder / name).write_bytes(b"{}")
    assert names <= set(ModelFolder("it", folder).files)


def _vocabulary_files() -> Iterator[str]:
    """Yield the names in `vocab_files_names` of every tokenizer, read from the source, nothing imported."""
    spec = importlib.util.find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    for file in Path(spec.origin).parent.glob("**/tokenization*.py"):
        source = file.read_text(encoding="utf-8")
        if "vocab_files_names" not in source.lower():
            continue
        for node in ast.walk(ast.parse(source)):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            named = {str(getattr(target, "id", "")).lower() for target in targets}
            if "vocab_files_names" in named and isinstance(value := getattr(node, "value", None), ast.Dict):
                found = [item.value for item in value.values if isinstance(item, ast.Constant)]
                yield from (name for name in found if isinstance(name, str) and "://" not in name)


def _with_pickled_dense(folder: Path) -> Path:
    import torch

    weights = folder / "2_Dense/model.safetensors"
    torch.save({name: torch.tensor(array) for name, array in load_file(weights).items()},
               weights.with_name("pytorch_model.bin"))  # fmt: skip
    return weights


def test_a_step_with_pickled_weights_only_is_read_when_pickles_are_trusted(
    tiny: ModelMaker, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("dense"), folder)
    expected = load(str(folder), runtime="torch").encode(["fox"])
    weights = _with_pickled_dense(folder)
    assert "2_Dense/pytorch_model.bin" not in find_model(str(folder)).files
    weights.unlink()
    with pytest.raises(ModelError, match=r"2_Dense/pytorch_model\.bin is a pickle"):
        find_model(str(folder))
    found = load(str(folder), runtime="torch", allow_pickle=True)
    np.testing.assert_array_equal(found.encode(["fox"]), expected)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("modules.json", "[]", "modules.json is an empty list, expected a list of steps"),
        ("modules.json", "{}", "modules.json is an object, expected a list"),
        ("modules.json", "[1]", "modules.json: step 0 is the number 1"),
        ("modules.json", '[{"type": "x.Transformer"}]', "modules.json: step 0 has no path"),
        ("modules.json", '[{"path": ""}]', "modules.json: step 0 has no type"),
        ("modules.json", '[{"type": 1, "path": ""}]', "step 0: type is the number 1, expected a string"),
        ("modules.json", '[{"type": "x.Transformer", "path": "../x"}]', "leads out of the model's folder"),
        ("modules.json", '[{"type": "x.Transformer", "path": "/etc"}]', "leads out of the model's folder"),
        ("modules.json", "", "modules.json cannot be read"),
        ("modules.json", "[" * 100_000, "modules.json cannot be read"),
        ("config.json", "[]", "config.json is an empty list, expected an object"),
        ("config.json", "null", "config.json is null"),
        ("config.json", "{", "config.json cannot be read"),
        ("tokenizer_config.json", '{"model_max_length": "512"}', "model_max_length is the string '512'"),
        ("sentence_bert_config.json", '{"max_seq_length": "512"}', "max_seq_length is the string '512'"),
        ("sentence_bert_config.json", '{"max_seq_length": 1.5}', "max_seq_length is the number 1.5"),
        ("sentence_bert_config.json", "[]", "sentence_bert_config.json is an empty list"),
        ("2_Dense/config.json", "[]", "2_Dense/config.json is an empty list"),
        ("1_Pooling/config.json", '{"pooling_mode": 1}', "pooling_mode is the number 1, expected one"),
        ("1_Pooling/config.json", '{"pooling_mode": ["mean", "x"]}', "pooling_mode is the string 'x'"),
        ("config_sentence_transformers.json", '{"prompts": []}', None),
        ("config_sentence_transformers.json", '{"prompts": [1]}', "prompts is a list, expected an object"),
    ],
)  # fmt: skip
def test_settings_of_another_type_are_one_line(
    tiny: ModelMaker, tmp_path: Path, file: str, content: str, says: str | None
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("dense"), folder)
    if file == "tokenizer_config.json":  # which counts where the model's own settings name no length
        (folder / "sentence_bert_config.json").unlink()
    (folder / file).write_text(content, encoding="utf-8")
    if says is None:
        assert load(str(folder)).identity.document_prompt == ""
        return
    with pytest.raises(ModelError) as error:
        _ = load(str(folder)).identity
    assert says in str(error.value)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_of_a_tokenizer_is_named(tiny: ModelMaker, tmp_path: Path, share: float) -> None:
    """The library's error was a sentence about processors, without the file."""
    folder = tmp_path / "model"
    shutil.copytree(tiny("plain-bert"), folder)
    content = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    said = "tokenizer.json cannot be read: it is empty, truncated, or not a JSON object"
    assert str(caught.value) == f"{folder}: {said}"


@pytest.mark.parametrize("length", ["null", "-1", "0"])
def test_a_length_that_is_not_above_0_is_as_good_as_none(
    tiny: ModelMaker, tmp_path: Path, length: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("dense"), folder)
    (folder / "sentence_bert_config.json").write_text(f'{{"max_seq_length": {length}}}', encoding="utf-8")
    assert find_model(str(folder)).max_length == 48  # its positions


ODD = ["[]", "{}", "null", '"\\ud800"', json.dumps("x" * 300), "-1", "1e400", "true", "[[]]", "1" * 400]


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in a JSON value, itself first."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*at, key))


def _replaced(text: str, at: tuple[Any, ...], odd: str) -> str:
    if not at:
        return odd
    value = json.loads(text)
    place = value
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = "\x01"
    return json.dumps(value).replace('"\\u0001"', odd)


def test_any_value_of_any_settings_may_be_odd(tiny: ModelMaker, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("dense"), folder)
    prompts = {"prompts": {"query": "q ", "document": "d "}, "default_prompt_name": "document"}
    _write(folder / "config_sentence_transformers.json", prompts)
    outcomes = set()
    for file in sorted(folder.rglob("*.json")):
        if file.name == "tokenizer.json":  # handed to the tokenizers library as it is
            continue
        text = file.read_text(encoding="utf-8")
        for at in _paths(json.loads(text)):
            for odd in ODD:
                file.write_text(_replaced(text, at, odd), encoding="utf-8")
                outcomes.add(_is_read(folder))
        file.write_text(text, encoding="utf-8")
    assert outcomes == {True, False}


def _is_read(folder: Path) -> bool:
    """Say whether a folder's identity can be read; False where that is an error of embedkit's own."""
    try:
        found = find_model(str(folder))
        identity = identify(found, EncoderSettings(), found.dimension or 1)
    except ModelError:
        return False
    return bool(orjson.dumps(identity.to_json())) and found.pools_without_prompt in (True, False)


def test_a_string_that_utf_8_cannot_write_is_one_line(tiny: ModelMaker, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("prompted"), folder)
    prompts = '{"prompts": {"document": "\\ud800"}, "default_prompt_name": null}'
    (folder / "config_sentence_transformers.json").write_text(prompts, encoding="utf-8")
    with pytest.raises(ModelError, match="document holds half of a surrogate pair"):
        load(str(folder))


@pytest.mark.parametrize("length", [2**63, 10**30])
def test_a_length_beyond_all_texts_is_no_limit(tiny: ModelMaker, tmp_path: Path, length: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("llama"), folder)
    text = " ".join(WORDS)
    found = []
    for limit in (length, 10**6):
        _write(folder / "sentence_bert_config.json", {"max_seq_length": limit})
        found.append(load(str(folder), runtime="torch").encode([text]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ["x" * 300, "./" + "x" * 300, "~no-such-user/x", "a\0b"])
def test_a_name_that_no_folder_can_have_is_one_line(name: str) -> None:
    with pytest.raises(EmbedkitError, match=r"no such model folder|unknown model|not a folder"):
        find_model(name)


def test_a_model_with_steps_for_queries_only_is_refused(tiny: ModelMaker, tmp_path: Path) -> None:
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling

    def route(width: int) -> Any:
        return Router.for_query_document(query_modules=[Dense(width, 4)], document_modules=[Dense(width, 4)])

    folder = tmp_path / "model"
    save_steps(folder, lambda width: Pooling(width, "mean"), route, plain=tiny("plain-bert"))
    with pytest.raises(ModelError, match="has a Router step"):
        load(str(folder))


def _fetched(names: set[str], patterns: list[str]) -> set[str]:
    return {name for name in names if any(fnmatch(name, pattern) for pattern in patterns)}


@every_layout
def test_of_a_repository_what_loading_reads_is_fetched_and_no_more(layout: Path, tmp_path: Path) -> None:
    read = _names(layout)
    for name in DECOYS:
        (layout / name).parent.mkdir(exist_ok=True)
        (layout / name).write_bytes(b"")
    named = tmp_path / "first"  # what the first request leaves
    for name in _fetched(_names(layout), list(HUB_FIRST)):
        (named / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(layout / name, named / name)
    patterns = hub_patterns(named, where="it", allow_pickle=False)
    others = {"0_Other/vocab.txt"}  # the * of a pattern reaches into folders too
    assert _fetched(_names(layout), patterns) - others == read
    trusted = hub_patterns(named, where="it", allow_pickle=True)
    pickles = set() if (layout / "0_Transformer").is_dir() else {"pytorch_model.bin"}
    assert _fetched(_names(layout), trusted) - others == read | pickles


def test_words_of_another_library_are_not_taken_for_settings(tiny: ModelMaker, tmp_path: Path) -> None:
    """safetensors put the type into backticks, and the command line printed it as an option, --float32."""
    folder = tmp_path / "model"
    shutil.copytree(tiny("plain-bert"), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(with_other_type(weights.read_bytes()))
    with pytest.raises(ModelError, match="float32") as error:
        load(str(folder), runtime="torch").encode(["fox"])
    assert "`" not in str(error.value)


def test_the_same_in_a_map(tmp_path: Path) -> None:
    content = AffineMap(np.eye(2), np.zeros(2), {}).to_bytes()
    with pytest.raises(FormatError, match="float32") as error:
        AffineMap.from_bytes(with_other_type(content), where="map")
    assert "`" not in str(error.value)


def with_other_type(content: bytes) -> bytes:
    """Return safetensors whose first tensor has a type by a name that the format does not have."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    next(value for name, value in header.items() if name != "__metadata__")["dtype"] = "float32"
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + content[8 + size :]
