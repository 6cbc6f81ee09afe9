"""The compiled runtime: its cache, its precision, and that running it needs no torch."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit.embedding import compiled, conversion, conversion_process
from embedkit.embedding.compiled import CompiledRuntime, choose_precision
from embedkit.embedding.conversion import lowest_cosine
from embedkit.embedding.conversion_process import load_compiled
from embedkit.embedding.loading import load
from embedkit.embedding.runtime import compute
from embedkit.errors import ModelError
from tests.embedding.conftest import TEXTS, ModelMaker, assert_close, sentence_transformers_vectors

Vectors = np.ndarray[Any, Any]
CONVERT_APART, START = conversion_process.convert_apart, conversion_process._START


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def ready(tiny: ModelMaker, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model and a cache that holds its conversion."""
    folder, cache = str(tiny("bert")), tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDKIT_CACHE", str(cache))
        vectors(folder)
    return folder, cache


@pytest.fixture
def entry(ready: tuple[str, Path], own_cache: Path) -> Path:
    """A copy of the ready conversion, in a cache of its own, to be damaged."""
    shutil.copytree(ready[1], own_cache)
    (folder,) = (own_cache / "compiled").iterdir()
    return folder


def vectors(folder: str, **settings: Any) -> Vectors:
    return load(folder, runtime="openvino", **settings).encode(TEXTS)


def forbid_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise AssertionError("converted although the cache says what would come of it")

    monkeypatch.setattr(conversion_process, "convert_apart", refuse)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in a process of its own, as outside of tests."""
    monkeypatch.setattr(conversion_process, "convert_apart", CONVERT_APART)


def test_a_whole_entry_is_used_again(
    ready: tuple[str, Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_conversion(monkeypatch)
    expected = sentence_transformers_vectors(Path(ready[0]))
    assert_close(vectors(ready[0], precision="fp32"), expected)
    assert lowest_cosine(vectors(ready[0]), expected) > 0.9995


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()


@pytest.mark.parametrize("how", ["truncated", "altered", "missing"])
@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json", "fp32.blob", "entry.json"])
def test_a_damaged_entry_is_not_opened(ready: tuple[str, Path], entry: Path, name: str, how: str) -> None:
    kind = compiled.current_kind(entry.name.partition("-")[0])
    assert compiled.open_entry(entry, kind, "fp32") is not None
    if name == "entry.json" and how == "altered":
        content = (entry / name).read_bytes()
        (entry / name).write_bytes(content.replace(b'"dimension"', b'"dimensions"'))
    else:
        damage(entry / name, how)
    assert compiled.open_entry(entry, kind, "fp32") is None


def test_a_damaged_entry_is_converted_again(ready: tuple[str, Path], entry: Path) -> None:
    before = {file.name: file.read_bytes() for file in entry.iterdir()}
    damage(entry / "model.bin", "altered")
    np.testing.assert_array_equal(vectors(ready[0], precision="fp32"), _fp32(ready))
    assert (entry / "model.bin").read_bytes() == before["model.bin"]
    assert [file.name for file in entry.parent.iterdir()] == [entry.name]


@pytest.mark.parametrize(
    ("field", "value"),
    [("openvino", "2020.1"), ("version", 1), ("format", "other"), ("fingerprint", "0" * 16)],
)
def test_an_entry_of_another_kind_is_not_opened(entry: Path, field: str, value: Any) -> None:
    said = json.loads((entry / "entry.json").read_bytes())
    assert said["format"] == "embedkit-compiled"
    said[field] = value
    (entry / "entry.json").write_text(json.dumps(said))
    assert compiled.open_entry(entry, compiled.current_kind(entry.name.partition("-")[0]), "fp32") is None


def test_what_was_compiled_elsewhere_is_compiled_again(
    ready: tuple[str, Path], entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob that OpenVINO refuses costs time, nothing else."""
    forbid_conversion(monkeypatch)
    (entry / "fp32.blob").write_bytes(b"not of this processor")
    said = json.loads((entry / "entry.json").read_bytes())
    del said["files"]["fp32.blob"]
    (entry / "entry.json").write_text(json.dumps(said))
    assert_close(vectors(ready[0], precision="fp32"), _fp32(ready))


@pytest.mark.parametrize("place", ["a file", "a folder below a file"])
def test_a_cache_that_cannot_be_written_costs_one_warning(
    tiny: ModelMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setenv("EMBEDKIT_CACHE", str(taken if place == "a file" else taken / "below"))
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = vectors(str(tiny("bert")), precision="fp32")
    assert_close(found, sentence_transformers_vectors(tiny("bert")))
    (record,) = caplog.records
    assert "cannot be written" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_full_disk_leaves_no_half_entry(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original, calls = conversion.write_whole, []

    def full_once(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        original(path, content)

    monkeypatch.setattr(conversion, "write_whole", full_once)
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = vectors(str(tiny("bert")), precision="fp32")
    assert_close(found, sentence_transformers_vectors(tiny("bert")))
    assert "No space left on device" in caplog.text
    assert list((own_cache / "compiled").iterdir()) == []


def test_no_disk_at_all_is_one_line(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(conversion, "write_whole", full)
    with pytest.raises(ModelError, match=r"cannot be compiled: .*No space left"):
        vectors(str(tiny("bert")))


def test_a_conversion_that_gives_other_vectors_is_refused(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = conversion.trace

    def wrong(module: Any, **how: Any) -> Any:
        import torch

        class Shifted(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = module

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.inner(input_ids, attention_mask).roll(1, dims=1)

        return original(Shifted())

    monkeypatch.setattr(conversion, "trace", wrong)
    with pytest.raises(ModelError, match="compiles to other vectors"):
        vectors(str(tiny("bert")))
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = load(str(tiny("bert")), device="cpu").encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(tiny("bert")))
    assert [record.getMessage().count("falling back to torch") for record in caplog.records] == [1]


def test_a_model_whose_code_cannot_be_traced_is_one_line_with_the_cause(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = conversion.trace

    def untraceable(module: Any, **how: Any) -> Any:
        import torch

        class Branching(torch.nn.Module):
            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                raise ValueError("a branch on data")

        return original(Branching())

    monkeypatch.setattr(conversion, "trace", untraceable)
    level = logging.getLogger().level
    with pytest.raises(ModelError, match=r": cannot be compiled \(a branch on data\)$"):
        vectors(str(tiny("bert")))
    (left,) = (own_cache / "compiled").iterdir()
    assert [file.name for file in left.iterdir()] == ["failure.json"]
    assert logging.getLogger().level == level  # OpenVINO leaves it at errors


def end_by(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let every process that converts be ended by a signal, as a crash in a native library ends it."""
    script = f"import os, signal; os.kill(os.getpid(), signal.{name})"
    monkeypatch.setattr(conversion_process, "_START", script)


@pytest.mark.usefixtures("apart")
def test_a_crash_of_the_converting_process_is_one_line_and_is_not_tried_again(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_by(monkeypatch, "SIGFPE")
    said = f"{tiny('bert')}: cannot be compiled (OpenVINO crashes with SIGFPE)"
    for _ in range(2):
        with pytest.raises(ModelError) as raised:
            vectors(str(tiny("bert")))
        assert str(raised.value) == said
        forbid_conversion(monkeypatch)
    with caplog.at_level(logging.WARNING, logger="embedkit"):
        found = load(str(tiny("bert")), device="cpu").encode(TEXTS)
    assert_close(found, sentence_transformers_vectors(tiny("bert")))
    assert [record.getMessage() for record in caplog.records] == [
        f"{said}; falling back to torch; set `runtime=torch` to skip this attempt"
    ]


@pytest.mark.usefixtures("apart")
def test_other_versions_of_what_converts_try_again(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_by(monkeypatch, "SIGSEGV")
    with pytest.raises(ModelError, match="crashes with SIGSEGV"):
        vectors(str(tiny("bert")))
    ((left,),) = [folder.iterdir() for folder in (own_cache / "compiled").iterdir()]
    said = json.loads(left.read_bytes())
    said["versions"]["transformers"] = "4.0"
    left.write_text(json.dumps(said))
    monkeypatch.setattr(conversion_process, "_START", START)
    vectors(str(tiny("bert")))
    assert "entry.json" in [file.name for file in left.parent.iterdir()]
    assert not left.exists()


@pytest.mark.usefixtures("apart")
def test_a_process_that_was_killed_is_no_verdict_on_the_model(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_by(monkeypatch, "SIGKILL")
    with pytest.raises(ModelError, match="was ended by SIGKILL"):
        vectors(str(tiny("bert")))
    assert list((own_cache / "compiled").iterdir()) == []


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_gated_layers_run_compiled_whatever_the_threads(
    tiny: ModelMaker, own_cache: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """OpenVINO fuses such layers for bf16 and divided by zero where a batch has one thread."""
    expected = sentence_transformers_vectors(tiny(family))
    for threads in ("1", None):
        monkeypatch.setenv("EMBEDKIT_THREADS", threads) if threads else monkeypatch.delenv("EMBEDKIT_THREADS")
        assert lowest_cosine(vectors(str(tiny(family))), expected) > 0.999
        forbid_conversion(monkeypatch)


def test_a_gated_layer_is_not_fused(tmp_path: Path) -> None:
    """The traced product says the same as torch's, without the broadcasting that the fusion looks for."""
    import torch

    class Gated(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            some, others = input_ids.float(), attention_mask.float()
            return torch.nn.functional.silu(some) * others

    model = conversion.trace(Gated())
    kinds = {node.get_attributes()["auto_broadcast"] for node in model.get_ops() if "Multiply" in str(node)}
    assert kinds == {"none"}


def test_precision_is_bf16_only_where_it_is_close_enough() -> None:
    assert choose_precision("auto", 0.9995) == "bf16"
    assert choose_precision("auto", 0.99949) == "fp32"
    assert choose_precision("auto", float("nan")) == "fp32"
    assert choose_precision("auto", None) == "fp32"
    assert choose_precision("bf16", 0.9) == "bf16"
    assert choose_precision("fp32", 1.0) == "fp32"


def test_the_measured_cosine_decides(ready: tuple[str, Path], entry: Path) -> None:
    said = json.loads((entry / "entry.json").read_bytes())
    has_bf16 = said["bf16_cosine"] is not None
    assert has_bf16 <= ("BF16" in said["processor"].split())
    assert ("bf16.blob" in said["files"]) == has_bf16
    said["bf16_cosine"] = 0.9
    (entry / "entry.json").write_text(json.dumps(said))
    np.testing.assert_array_equal(vectors(ready[0]), _fp32(ready))
    if has_bf16:
        close = vectors(ready[0], precision="bf16")
        assert np.abs(close - _fp32(ready)).max() > 1e-5
        assert lowest_cosine(close, _fp32(ready)) > 0.999


def test_a_model_that_compiles_only_in_fp32_runs_in_fp32(
    ready: tuple[str, Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO compiles some models in fp32 only, although the processor has bf16."""
    whole, kind, expected = conversion.compile_model, conversion_process.current_kind, _fp32(ready)
    asked: list[str] = []

    def only_fp32(path: Path, precision: str) -> Any:
        asked.append(precision)
        if precision == "bf16":
            raise RuntimeError("Supported primitive descriptors list is empty for node: Softmax")
        return whole(path, precision)

    monkeypatch.setattr(conversion, "compile_model", only_fp32)
    monkeypatch.setattr(
        conversion_process,
        "current_kind",
        lambda encoder: kind(encoder)._replace(processor="some FP32 BF16"),
    )
    np.testing.assert_array_equal(vectors(ready[0]), expected)
    assert "bf16" in asked
    (written,) = (own_cache / "compiled").glob("*/entry.json")
    assert json.loads(written.read_bytes())["bf16_cosine"] is None
    with pytest.raises(ModelError, match="cannot compute this model in bf16"):
        vectors(ready[0], precision="bf16")


def test_a_processor_that_refuses_what_it_states_to_have_gets_fp32_or_one_line(
    ready: tuple[str, Path], entry: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when instructions are limited by the environment, or a cache is shared by machines."""
    expected, whole = _fp32(ready), compiled.compile_model
    said = json.loads((entry / "entry.json").read_bytes())
    (entry / "entry.json").write_text(json.dumps({**said, "bf16_cosine": 1.0}))
    refused = {"bf16"}

    def compile_some(path: Path, precision: str) -> Any:
        if precision in refused:
            raise RuntimeError("Exception from core.cpp:\nno primitive for node: Softmax\n")
        return whole(path, precision)  # type: ignore[arg-type]

    monkeypatch.setattr(compiled, "compile_model", compile_some)
    np.testing.assert_array_equal(vectors(ready[0]), expected)
    message = r"cannot be compiled in bf16 \(no primitive for node: Softmax\)$"
    with pytest.raises(ModelError, match=message):
        vectors(ready[0], precision="bf16")
    refused.add("fp32")
    close = load(ready[0], device="cpu").encode(TEXTS)
    np.testing.assert_allclose(close, expected, atol=1e-5 * float(np.abs(expected).max()))
    assert "cannot be compiled in fp32 (no primitive for node: Softmax); falling back to torch" in caplog.text


def test_the_lowest_cosine_is_the_lowest_of_the_rows() -> None:
    some = np.array([[1, 0], [3, 4], [0, 2]], dtype=np.float32)
    others = np.array([[2, 0], [3, 4], [1, 1]], dtype=np.float32)
    assert lowest_cosine(some, others) == pytest.approx(np.sqrt(0.5))
    assert np.isnan(lowest_cosine(some, np.full((3, 2), np.nan, dtype=np.float32)))


def test_leaving_a_run_early_leaves_the_runtime_usable(ready: tuple[str, Path], entry: Path) -> None:
    encoder: Any = load(ready[0], runtime="openvino", precision="fp32")
    runtime: CompiledRuntime = load_compiled(encoder.folder, encoder.settings)
    batches = list(_batches(runtime))
    for _ in range(20):
        next(runtime.run(batches))
    for _ in range(3):
        np.testing.assert_array_equal(compute(runtime, TEXTS, threading.Lock()), _fp32(ready))


def test_a_new_process_needs_no_torch_opens_no_connection_and_gives_the_same_bytes(
    ready: tuple[str, Path], entry: Path, tmp_path: Path
) -> None:
    script = """
import socket, sys

def refuse(*given):
    raise AssertionError("a connection was opened")

socket.socket.connect = refuse
from embedkit.embedding.loading import load
sys.stdout.buffer.write(load(sys.argv[1], precision="fp32", device="cpu").encode(sys.argv[2:]).tobytes())
heavy = {"torch", "transformers", "sentence_transformers", "openvino_telemetry.main"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", script, ready[0], *TEXTS]
    home = {**os.environ, "HOME": str(tmp_path / "home")}
    runs = [subprocess.run(command, capture_output=True, check=True, env=home) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout == _fp32(ready).tobytes()
    assert runs[0].stderr == b""
    assert not (tmp_path / "home").exists()


def test_two_processes_converting_at_once_both_succeed(tiny: ModelMaker, own_cache: Path) -> None:
    script = """
import sys
from embedkit.embedding.loading import load
print(load(sys.argv[1], device="cpu").encode(["the fox"]).tobytes().hex())
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tiny("bert"))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[0][0] == said[1][0] != b""
    assert said[0][1] == said[1][1] == b""
    (entry,) = (own_cache / "compiled").iterdir()
    assert compiled.open_entry(entry, compiled.current_kind(entry.name.partition("-")[0]), "auto") is not None


def _fp32(ready: tuple[str, Path]) -> Vectors:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDKIT_CACHE", str(ready[1]))
        return vectors(ready[0], precision="fp32")


def _batches(runtime: CompiledRuntime) -> Iterator[Any]:
    from embedkit.embedding.tokens import pad

    for place, text in enumerate(runtime.tokenize(TEXTS)):
        yield pad([text], np.array([place]), runtime.pad_id)
