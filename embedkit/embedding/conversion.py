"""A model converted from torch to OpenVINO: traced, compared with torch, written as an entry of the cache."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embedkit.data.atomic import write_whole
from embedkit.embedding.compiled import (
    ENTRY,
    MODEL,
    TOKENIZER,
    Check,
    CompiledRuntime,
    Entry,
    Kind,
    compile_config,
    compile_model,
    openvino,
)
from embedkit.embedding.encoder import EncoderSettings, Vectors
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.tokens import FastTokenizer
from embedkit.embedding.torch_runtime import TorchRuntime
from embedkit.embedding.transformer import Runtime, compute
from embedkit.errors import ModelError

LOWEST_FIDELITY = (
    0.9999  # cosine of the conversion to torch, both in fp32; under it the conversion has gone wrong
)

# What conversions are measured on: scripts, lengths, markup, figures, and a text longer than models read.
SAMPLE = (
    "A quick brown fox jumps over the lazy dog.",
    "hello",
    "How do I copy a whole directory tree, permissions included?",
    "def area(radius: float) -> float:\n    return math.pi * radius**2",
    "The treaty, signed in 1648, ended thirty years of war; its 128 articles redrew the map of Europe.",
    "In 2019 revenue rose 12.5 % to $3,104,000 (before tax).",
    "https://example.org/a/b?c=d&e=f#section-2.1",
    "中文句子的向量表示。",
    "如何在不丢失数据的情况下升级数据库？",
    "東京は日本の首都であり、世界最大級の都市圏を形成している。",
    "서울의 겨울은 춥고 건조하다.",
    "Der Zug nach München fährt heute leider nicht.",
    "La fièvre persiste depuis trois jours, malgré le traitement.",
    "El niño comió una manzana roja en el jardín de su abuela.",
    "Быстрая коричневая лиса перепрыгивает через ленивую собаку.",
    "الطقس جميل اليوم في القاهرة.",
    "मुझे हिंदी में किताबें पढ़ना पसंद है।",
    "🙂🚀 emoji, ﬁligatures and\ttabs",
    "... --- !!! ???",
    "The committee met on Tuesday to consider the proposal, and after a long debate it was adopted. " * 30,
)


class Converted(NamedTuple):
    """A conversion in memory."""

    model: Any
    tokenizer: FastTokenizer
    pad_id: int


def convert(folder: ModelFolder, settings: EncoderSettings) -> Converted:
    """Convert a model to OpenVINO; raises ModelError when it will not convert, or not to the same vectors."""
    torch_runtime = TorchRuntime(folder, replace(settings, device="cpu", precision="fp32"))
    tokenizer, pad_id = torch_runtime.tokenize, torch_runtime.pad_id
    if not isinstance(tokenizer, FastTokenizer):
        raise ModelError("has no fast tokenizer and cannot be compiled", where=folder.name)
    try:
        model = trace(torch_runtime.module)
        compiled = openvino().Core().compile_model(model, "CPU", compile_config("fp32"))
        fidelity = lowest_cosine(
            sample_vectors(CompiledRuntime(compiled, tokenizer, pad_id)), sample_vectors(torch_runtime)
        )
    except Exception as error:  # whatever the tracer meets in a model's code comes out here
        raise ModelError(f"cannot be compiled ({_reason(error)})", where=folder.name) from error
    if not fidelity >= LOWEST_FIDELITY:
        raise ModelError(f"compiles to other vectors (cosine {fidelity:.4f} to torch)", where=folder.name)
    return Converted(model, tokenizer, pad_id)


def _reason(error: BaseException) -> str:
    """Return the line that says most of an error of OpenVINO's: the last one of the innermost."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip(" -")


def trace(module: Any) -> Any:
    """Trace a torch module `(input_ids, attention_mask)` into an OpenVINO model of any batch and length."""
    import torch

    library = openvino()
    example = {
        "input_ids": torch.ones(2, 7, dtype=torch.long),
        "attention_mask": torch.ones(2, 7, dtype=torch.long),
    }
    example["attention_mask"][1, 5:] = 0  # so that masks are traced too
    shapes = [(name, library.PartialShape([-1, -1]), library.Type.i64) for name in example]
    with _log_as_it_was(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about every condition in a model's code
        return library.convert_model(module, example_input=example, input=shapes)


@contextmanager
def _log_as_it_was() -> Iterator[None]:
    """Undo what OpenVINO does to the root log, which a conversion that fails leaves at errors only."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


def write_entry(folder: Path, kind: Kind, converted: Converted) -> None:
    """Write a conversion as an entry, with how close bf16 comes to fp32; raises OSError on failure."""
    library = openvino()
    try:
        library.save_model(converted.model, folder / MODEL, compress_to_fp16=False)
        converted.tokenizer.backend.save(str(folder / TOKENIZER))
        exact, rows = _compile(folder, "fp32", converted)
        cosine = None
        if "BF16" in kind.processor.split():
            _, close = _compile(folder, "bf16", converted)
            cosine = lowest_cosine(close, rows)
    except RuntimeError as error:  # OpenVINO's word for a full disk too, and then an unclear one
        full = shutil.disk_usage(folder).free < _weights_size(converted.model)
        raise OSError(os.strerror(errno.ENOSPC) if full else _reason(error)) from error
    files = {file.name: Check(file.stat().st_size, file_sha256(file)) for file in sorted(folder.iterdir())}
    entry = Entry(kind, exact.dimension, converted.pad_id, cosine, files)
    write_whole(folder / ENTRY, entry.to_json())


def _weights_size(model: Any) -> int:
    """Return the bytes of a model's weights."""
    return sum(int(op.get_byte_size()) for op in model.get_ops() if op.get_type_name() == "Constant")


def _compile(
    folder: Path, precision: Literal["fp32", "bf16"], converted: Converted
) -> tuple[CompiledRuntime, Vectors]:
    """Compile what was written, keep that beside it, and return it with its vectors of SAMPLE."""
    compiled = compile_model(folder, precision)
    (folder / f"{precision}.blob").write_bytes(compiled.export_model().read())
    runtime = CompiledRuntime(compiled, converted.tokenizer, converted.pad_id)
    return runtime, sample_vectors(runtime)


def sample_vectors(runtime: Runtime) -> Vectors:
    """Return the vectors of SAMPLE."""
    return compute(runtime, SAMPLE, threading.Lock())


def lowest_cosine(some: Vectors, others: Vectors) -> float:
    """Return the lowest cosine between rows of two `(rows, dimension)`; nan when a number is missing."""
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.min(np.sum(some * others, axis=1, dtype=np.float64) / lengths))
