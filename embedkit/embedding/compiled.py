"""The encoder compiled for the processor: OpenVINO converts it once, and later runs need no torch.

The cache (EMBEDKIT_CACHE) keeps a conversion as one folder per encoder and processor: the model in OpenVINO's
own format with fp32 weights, its compiled form in each precision, the tokenizer, and `entry.json`. The folder
appears complete or not at all. An entry that is damaged, or that another version of OpenVINO wrote, is
converted again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import write_whole
from embedkit.embedding.encoder import Precision, Vectors
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.openvino_library import openvino
from embedkit.embedding.tokens import FastTokenizer, TokenBatch
from embedkit.errors import ModelError

FORMAT = "embedkit-compiled"
VERSION = 2
TOKEN_BUDGET = 1536  # rows x tokens per batch: the fastest measured, for sentences and for documents
LOWEST_COSINE = 0.9995  # cosine of bf16 to fp32; below it, `auto` computes in fp32

MODEL, WEIGHTS, TOKENIZER, ENTRY = "model.xml", "model.bin", "tokenizer.json", "entry.json"
FAILURE = "failure.json"

logger = logging.getLogger("embedkit")


class EntryKey(NamedTuple):
    """The properties that must be equal for a conversion to be used."""

    format: str
    version: int
    fingerprint: str  # the encoder's fingerprint
    openvino: str  # version of OpenVINO
    processor: str  # name, and the instruction sets that OpenVINO uses


class Check(NamedTuple):
    """Size and digest of a file, to detect damage."""

    size: int  # bytes
    sha256: str


class Entry(NamedTuple):
    """The content of `entry.json`, which describes a conversion."""

    kind: EntryKey
    dimension: int
    pad_id: int
    known_ids: int | None  # ids from here on have no embedding; None where the tokenizer returns no such id
    bf16_cosine: (
        float | None
    )  # lowest cosine of bf16 to fp32 on a sample; None where it does not compile in bf16
    files: dict[str, Check]  # every other file of the entry

    def to_json(self) -> bytes:
        """Return the content of `entry.json`."""
        files = {name: check._asdict() for name, check in self.files.items()}
        said = {**self.kind._asdict(), **self._asdict(), "files": files}
        return orjson.dumps(
            {name: value for name, value in said.items() if name != "kind"}, option=orjson.OPT_INDENT_2
        )

    @classmethod
    def from_json(cls, content: bytes) -> Entry:
        """Return the entry in `content`; raises ValueError, TypeError or AttributeError if invalid."""
        said = orjson.loads(content)
        kind = EntryKey(**{name: said.pop(name, None) for name in EntryKey._fields})
        files = {name: Check(**check) for name, check in said.pop("files", {}).items()}
        return cls(kind=kind, files=files, **said)


class UnfitError(ModelError):
    """A model cannot be compiled by this version of OpenVINO on this processor; a retry would fail too."""


class Failure(NamedTuple):
    """The content of `failure.json`: why a conversion failed, and the versions that it was tried with."""

    kind: EntryKey
    versions: dict[str, str]  # versions of the converting packages
    what: str
    hint: str | None


class CompiledRuntime:
    """A compiled model; several batches are computed at once, as many as suits the processor."""

    token_budget = TOKEN_BUDGET
    shortest, pads = 1, True  # a model with other requirements is not compiled

    def __init__(
        self, compiled: Any, tokenizer: FastTokenizer, pad_id: int, known_ids: int | None = None
    ) -> None:
        self.tokenize, self.pad_id, self.known_ids = tokenizer, pad_id, known_ids
        self.dimension = int(compiled.output(0).partial_shape[1].get_length())
        self._queue = openvino().AsyncInferQueue(compiled, 0)
        self.at_once = len(self._queue)

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and vectors, in order of completion."""
        done: list[tuple[NDArray[np.intp], Vectors]] = []
        self._queue.set_callback(
            lambda request, rows: done.append((rows, request.get_output_tensor(0).data.copy()))
        )
        try:
            for batch in batches:
                self._queue.start_async(batch.inputs, batch.rows)
                while done:
                    yield done.pop()
        finally:
            self._queue.wait_all()
        yield from done


def current_kind(encoder: str) -> EntryKey:
    """Return the key of the entry that this process can open for an encoder's fingerprint."""
    library = openvino()
    core = library.Core()
    name, features = (
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    )
    return EntryKey(FORMAT, VERSION, encoder, library.__version__, f"{name} {' '.join(sorted(features))}")


def open_entry(path: Path, kind: EntryKey, precision: Precision) -> CompiledRuntime | None:
    """Open a conversion; returns None when it is missing, damaged or has another key.

    The weights are hashed while the model is compiled from them; their size, and all other files, are checked
    before.
    """
    from tokenizers import Tokenizer

    entry = read_entry(path, kind)
    if entry is None or not all(is_intact(path / name, check) for name, check in entry.files.items()):
        return None
    if precision == "bf16" and entry.bf16_cosine is None:
        raise ModelError("the processor cannot compute this model in bf16", where="`precision=bf16`")
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(file_sha256, path / WEIGHTS)
        compiled = _compiled(path, precision, entry)
        tokenizer = FastTokenizer(Tokenizer.from_file(str(path / TOKENIZER)), typed=len(compiled.inputs) == 3)
        intact = digest.result() == entry.files[WEIGHTS].sha256
    return CompiledRuntime(compiled, tokenizer, entry.pad_id, entry.known_ids) if intact else None


def _compiled(path: Path, precision: Precision, entry: Entry) -> Any:
    """Compile a conversion; in fp32 if the precision is `auto` and the processor refuses bf16.

    A processor may do so although it states that it has bf16. Raises ModelError when nothing can be compiled.
    """
    chosen = choose_precision(precision, entry.bf16_cosine)
    try:
        return compile_model(path, chosen)
    except RuntimeError as error:
        if (precision, chosen) == ("auto", "bf16"):
            return _compiled(path, "fp32", entry)
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ModelError(f"cannot be compiled in {chosen} ({reason[0]})", where=str(path)) from None


def read_entry(path: Path, kind: EntryKey) -> Entry | None:
    """Read `entry.json`; returns None when it is missing, not valid, or has another key."""
    try:
        entry = Entry.from_json((path / ENTRY).read_bytes())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return entry if entry.kind == kind and {MODEL, WEIGHTS, TOKENIZER} <= entry.files.keys() else None


def write_failure(folder: Path, kind: EntryKey, error: UnfitError) -> None:
    """Write the reason of a failed conversion into a folder, so that later runs do not repeat it."""
    for file in folder.iterdir():
        file.unlink()
    failure = Failure(kind, _versions(), error.what, error.hint)
    said = {**failure._asdict(), "kind": kind._asdict()}
    write_whole(folder / FAILURE, orjson.dumps(said, option=orjson.OPT_INDENT_2))


def require_no_failure(path: Path, kind: EntryKey, *, where: str) -> None:
    """Raise UnfitError when this conversion has failed before with the same package versions."""
    try:
        said = orjson.loads((path / FAILURE).read_bytes())
        failure = Failure(**{**said, "kind": EntryKey(**said["kind"])})
    except (OSError, ValueError, TypeError, KeyError):
        return
    if (failure.kind, failure.versions) == (kind, _versions()):
        raise UnfitError(failure.what, where=where, hint=failure.hint)


def _versions() -> dict[str, str]:
    """Return the versions of the converting packages, without importing them."""
    from importlib.metadata import version

    packages = ("embedkit", "torch", "transformers", "sentence-transformers", "tokenizers")
    return {name: version(name) for name in packages}


def is_intact(file: Path, check: Check) -> bool:
    """Return whether a file has its recorded size and, unless it is the weights, its recorded digest."""
    try:
        return file.stat().st_size == check.size and (
            file.name == WEIGHTS or file_sha256(file) == check.sha256
        )
    except OSError:
        return False


def choose_precision(wanted: Precision, bf16_cosine: float | None) -> Literal["fp32", "bf16"]:
    """Return the precision to compute in; `auto` is bf16 if the processor has it and it is accurate."""
    if wanted != "auto":
        return wanted
    return "bf16" if bf16_cosine is not None and bf16_cosine >= LOWEST_COSINE else "fp32"


def compile_model(path: Path, precision: Literal["fp32", "bf16"]) -> Any:
    """Compile a conversion, or load its saved compiled form if that is still valid."""
    core = openvino().Core()
    config = compile_config(precision)
    blob = path / f"{precision}.blob"
    if blob.is_file():
        with suppress(RuntimeError):  # the saved form may not fit this processor or version
            return core.import_model(
                blob.read_bytes(), "CPU", {**config, "WEIGHTS_PATH": str(path / WEIGHTS)}
            )
    return core.compile_model(path / MODEL, "CPU", config)


def compile_config(precision: Literal["fp32", "bf16"]) -> dict[str, str]:
    """Return OpenVINO's settings: several batches at once, and exported models without their weights.

    EMBEDKIT_THREADS limits the threads of a process that shares its machine with others. Such threads are not
    pinned to processors, because other processes would pin theirs to the same ones.
    """
    hint = "f32" if precision == "fp32" else precision
    threads = os.environ.get("EMBEDKIT_THREADS")
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": hint,
        "CACHE_MODE": "OPTIMIZE_SIZE",
        **({"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": "NO"} if threads else {}),
    }
