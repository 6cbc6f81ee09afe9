"""Conversion of a model from torch to OpenVINO: trace it, compare it with torch, write it into the cache."""

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
from itertools import pairwise
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
    EntryKey,
    compile_model,
)
from embedkit.embedding.encoder import EncoderSettings, Vectors
from embedkit.embedding.faults import reason
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.openvino_library import openvino
from embedkit.embedding.runtime import Runtime, compute
from embedkit.embedding.tokens import FastTokenizer
from embedkit.embedding.torch_runtime import TorchRuntime
from embedkit.errors import ModelError

LOWEST_FIDELITY = (
    0.9999  # cosine of the conversion to torch, both in fp32; a lower one means a faulty conversion
)

# Texts to compare conversions on: scripts, lengths, markup, numbers, and a text longer than models read.
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
_PARTS = (1, 1, 1, 2, 3, 5, 7)  # numbers of texts of SAMPLE that are encoded together


class Converted(NamedTuple):
    """A conversion in memory."""

    model: Any
    tokenizer: FastTokenizer
    pad_id: int
    known_ids: int | None
    expected: Vectors  # vectors of SAMPLE by torch


def convert_into(target: Path, kind: EntryKey, folder: ModelFolder, settings: EncoderSettings) -> None:
    """Convert a model and write it into the folder `target` as an entry of the cache.

    Raises ModelError when the model cannot be converted, and OSError when the entry cannot be written.
    """
    write_entry(target, kind, convert(folder, settings), where=folder.name)


def convert(folder: ModelFolder, settings: EncoderSettings) -> Converted:
    """Trace a model for OpenVINO; raises ModelError when that fails."""
    torch_runtime = TorchRuntime(folder, replace(settings, device="cpu", precision="fp32"))
    tokenizer = torch_runtime.tokenize
    if not isinstance(tokenizer, FastTokenizer):
        raise ModelError("has no fast tokenizer and cannot be compiled", where=folder.name)
    if torch_runtime.shortest > 1 or not torch_runtime.pads:
        raise ModelError("computes other vectors for padded texts and cannot be compiled", where=folder.name)
    pad_id, known_ids = torch_runtime.pad_id, torch_runtime.known_ids
    try:
        model, expected = trace(torch_runtime.module, typed=tokenizer.typed), sample_vectors(torch_runtime)
    except Exception as error:  # a model's code can raise any exception in the tracer
        raise ModelError(f"cannot be compiled ({_line(error)})", where=folder.name) from error
    return Converted(model, tokenizer, pad_id, known_ids, expected)


def _line(error: BaseException) -> str:
    """Return the last line of an error's message, which is the most specific."""
    return reason(error).splitlines()[-1]


def trace(module: Any, *, typed: bool = False) -> Any:
    """Trace a torch module `(input_ids, attention_mask)` into an OpenVINO model of any batch size and length.

    `typed` adds the input `token_type_ids` to both.
    """
    import torch

    library = openvino()
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])]
    example = {name: torch.ones(2, 7, dtype=torch.long) for name in names}
    example["attention_mask"][1, 5:] = 0  # include masking in the trace
    shapes = [(name, library.PartialShape([-1, -1]), library.Type.i64) for name in example]
    with _log_as_it_was(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns about every condition in a model's code
        model = library.convert_model(module, example_input=example, input=shapes)
    keep_gates_apart(model)
    return model


def keep_gates_apart(model: Any) -> None:
    """Prevent OpenVINO from fusing gated layers, `down(act(gate(x)) * up(x))`, which crash on one thread.

    For bf16 on processors with AMX, its CPU plugin replaces such a layer (Llama, Qwen and Gemma have them) by
    one node that divides its work among half of the threads. With one thread per batch, half is zero, and the
    division by it ends the process with SIGFPE. The fusion matches a product with broadcasting. Both factors
    have the same shape here, so a product without broadcasting gives the same values and is not matched.
    """
    from openvino import opset13

    for node in model.get_ordered_ops():
        sources = [given.get_source_output() for given in node.inputs()]
        names = {source.get_node().get_type_name() for source in sources}
        if node.get_type_name() != "Multiply" or not names & {"Swish", "Gelu"}:
            continue
        first, second = (source.get_partial_shape() for source in sources)
        if first.same_scheme(second):
            product = opset13.multiply(*sources, auto_broadcast="none")
            product.set_friendly_name(node.get_friendly_name())
            node.output(0).replace(product.output(0))


@contextmanager
def _log_as_it_was() -> Iterator[None]:
    """Restore the root logger, which a failed conversion by OpenVINO leaves at level ERROR."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


def write_entry(folder: Path, kind: EntryKey, converted: Converted, *, where: str) -> None:
    """Write a conversion as an entry, with the lowest cosine of bf16 to fp32.

    Raises OSError when it cannot be written, and ModelError, naming the model `where`, when the written entry
    does not run or its vectors differ from torch's.
    """
    library = openvino()
    try:
        library.save_model(converted.model, folder / MODEL, compress_to_fp16=False)
        converted.tokenizer.backend.save(str(folder / TOKENIZER))
        exact, rows = _compile(folder, "fp32", converted)
        whole = np.concatenate(
            [converted.expected, converted.expected]
        )  # once for the batch, once for the parts
        fidelity = lowest_cosine(rows, whole)
        if not fidelity >= LOWEST_FIDELITY:
            raise ModelError(f"compiles to other vectors (cosine {fidelity:.4f} to torch)", where=where)
        cosine = _bf16_cosine(folder, converted, rows) if "BF16" in kind.processor.split() else None
    except RuntimeError as error:  # OpenVINO raises it for a full disk too, with an unclear message
        _require_disk(folder, converted, error)
        raise ModelError(f"cannot be compiled ({_line(error)})", where=where) from error
    files = {file.name: Check(file.stat().st_size, file_sha256(file)) for file in sorted(folder.iterdir())}
    entry = Entry(kind, exact.dimension, converted.pad_id, converted.known_ids, cosine, files)
    write_whole(folder / ENTRY, entry.to_json())


def _bf16_cosine(folder: Path, converted: Converted, exact: Vectors) -> float | None:
    """Return the lowest cosine of bf16 to the `exact` vectors; None if the model does not compile in bf16,
    although the processor has it.
    """
    try:
        _, close = _compile(folder, "bf16", converted)
    except RuntimeError as error:
        _require_disk(folder, converted, error)
        return None
    return lowest_cosine(close, exact)


def _require_disk(folder: Path, converted: Converted, error: RuntimeError) -> None:
    """Raise OSError if the disk has no space for the weights, which explains the error."""
    if shutil.disk_usage(folder).free < _weights_size(converted.model):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _weights_size(model: Any) -> int:
    """Return the bytes of a model's weights."""
    return sum(int(op.get_byte_size()) for op in model.get_ops() if op.get_type_name() == "Constant")


def _compile(
    folder: Path, precision: Literal["fp32", "bf16"], converted: Converted
) -> tuple[CompiledRuntime, Vectors]:
    """Compile the written model, save the result next to it, and return the runtime of the saved file, with
    vectors.
    """
    compiled = compile_model(folder, precision)
    (folder / f"{precision}.blob").write_bytes(compiled.export_model().read())
    del compiled
    kept = compile_model(folder, precision)
    runtime = CompiledRuntime(kept, converted.tokenizer, converted.pad_id, converted.known_ids)
    return runtime, np.concatenate([sample_vectors(runtime), in_parts(runtime)])


def sample_vectors(runtime: Runtime) -> Vectors:
    """Return the vectors of SAMPLE, encoded together."""
    return compute(runtime, SAMPLE, threading.Lock())


def in_parts(runtime: Runtime) -> Vectors:
    """Return the vectors of SAMPLE, encoded in batches of many shapes, as in real runs."""
    ends = np.cumsum([0, *_PARTS])
    parts = [SAMPLE[start:end] for start, end in pairwise(ends)]
    return np.concatenate([compute(runtime, texts, threading.Lock()) for texts in parts])


def lowest_cosine(some: Vectors, others: Vectors) -> float:
    """Return the lowest cosine between rows of two arrays `(rows, dimension)`; NaN when a value is NaN."""
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.min(np.sum(some * others, axis=1, dtype=np.float64) / lengths))
