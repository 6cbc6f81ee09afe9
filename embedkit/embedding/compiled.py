"""The encoder compiled for the processor: converted once with OpenVINO, from then on run without torch.

A conversion is kept in the cache (EMBEDKIT_CACHE) as one folder for each encoder and processor: the model in
OpenVINO's own format with fp32 weights, what came of compiling it in each precision, the tokenizer, and
`entry.json`. The folder appears whole or not at all. An entry that is damaged, or that another version of
OpenVINO wrote, is converted again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import write_whole
from embedkit.embedding.encoder import Precision, Vectors
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.telemetry import silence
from embedkit.embedding.tokens import FastTokenizer, TokenBatch
from embedkit.errors import MissingPackageError, ModelError

FORMAT = "embedkit-compiled"
VERSION = 2
TOKEN_BUDGET = 1536  # rows x tokens of a batch: the fastest measured, for sentences and for documents
LOWEST_COSINE = 0.9995  # of bf16 to fp32; under it `auto` computes in fp32

MODEL, WEIGHTS, TOKENIZER, ENTRY = "model.xml", "model.bin", "tokenizer.json", "entry.json"
FAILURE = "failure.json"

logger = logging.getLogger("embedkit")


class EntryKey(NamedTuple):
    """What has to be the same for a conversion to be used."""

    format: str
    version: int
    fingerprint: str  # of the encoder
    openvino: str  # its version
    processor: str  # its name and the instructions that OpenVINO uses of it


class Check(NamedTuple):
    """What tells a whole file from a damaged one."""

    size: int  # bytes
    sha256: str


class Entry(NamedTuple):
    """What `entry.json` says of a conversion."""

    kind: EntryKey
    dimension: int
    pad_id: int
    known_ids: int | None  # ids from here on have no embedding; None where the tokenizer gives no such id
    bf16_cosine: (
        float | None
    )  # lowest cosine of bf16 to fp32 on a sample; None where the processor has no bf16
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
        """Read what `to_json` wrote; raises ValueError, TypeError or AttributeError for anything else."""
        said = orjson.loads(content)
        kind = EntryKey(**{name: said.pop(name, None) for name in EntryKey._fields})
        files = {name: Check(**check) for name, check in said.pop("files", {}).items()}
        return cls(kind=kind, files=files, **said)


class UnfitError(ModelError):
    """A model cannot be compiled by this version of OpenVINO on this processor, however often it is tried."""


class Failure(NamedTuple):
    """What `failure.json` says of a conversion that failed: why, and what it was tried with."""

    kind: EntryKey
    versions: dict[str, str]  # of the packages that convert
    what: str
    hint: str | None


class CompiledRuntime:
    """A compiled model; batches are computed side by side, as many at a time as suits the processor."""

    token_budget = TOKEN_BUDGET
    shortest, pads = 1, True  # a model that asks for more is not compiled

    def __init__(
        self, compiled: Any, tokenizer: FastTokenizer, pad_id: int, known_ids: int | None = None
    ) -> None:
        self.tokenize, self.pad_id, self.known_ids = tokenizer, pad_id, known_ids
        self.dimension = int(compiled.output(0).partial_shape[1].get_length())
        self._queue = openvino().AsyncInferQueue(compiled, 0)

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and vectors, in the order in which they are done."""
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


def openvino() -> Any:
    """Import OpenVINO with its telemetry switched off; raises MissingPackageError when there is none."""
    silence()
    try:
        import openvino as library
    except ImportError:
        raise MissingPackageError("openvino", needed_for="compiling a model") from None
    return library


def current_kind(encoder: str) -> EntryKey:
    """Return the kind of entry that this process can open for an encoder's fingerprint."""
    library = openvino()
    core = library.Core()
    name, features = (
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    )
    return EntryKey(FORMAT, VERSION, encoder, library.__version__, f"{name} {' '.join(sorted(features))}")


def open_entry(path: Path, kind: EntryKey, precision: Precision) -> CompiledRuntime | None:
    """Open a conversion; None when there is none, or it is damaged or of another kind.

    The big file is checked while the model is compiled from it; its size, and all of the other files, before.
    """
    from tokenizers import Tokenizer

    entry = read_entry(path, kind)
    if entry is None or not all(is_intact(path / name, check) for name, check in entry.files.items()):
        return None
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(file_sha256, path / WEIGHTS)
        compiled = compile_model(path, choose_precision(precision, entry.bf16_cosine))
        tokenizer = FastTokenizer(Tokenizer.from_file(str(path / TOKENIZER)), typed=len(compiled.inputs) == 3)
        intact = digest.result() == entry.files[WEIGHTS].sha256
    return CompiledRuntime(compiled, tokenizer, entry.pad_id, entry.known_ids) if intact else None


def read_entry(path: Path, kind: EntryKey) -> Entry | None:
    """Read `entry.json`; None when it is not there, not one, or of another kind."""
    try:
        entry = Entry.from_json((path / ENTRY).read_bytes())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return entry if entry.kind == kind and {MODEL, WEIGHTS, TOKENIZER} <= entry.files.keys() else None


def write_failure(folder: Path, kind: EntryKey, error: UnfitError) -> None:
    """Write into a folder why a conversion failed, so that it is not tried in vain in every run."""
    for file in folder.iterdir():
        file.unlink()
    failure = Failure(kind, _versions(), error.what, error.hint)
    said = {**failure._asdict(), "kind": kind._asdict()}
    write_whole(folder / FAILURE, orjson.dumps(said, option=orjson.OPT_INDENT_2))


def require_no_failure(path: Path, kind: EntryKey, *, where: str) -> None:
    """Raise UnfitError when this conversion has failed before, with the same packages."""
    try:
        said = orjson.loads((path / FAILURE).read_bytes())
        failure = Failure(**{**said, "kind": EntryKey(**said["kind"])})
    except (OSError, ValueError, TypeError, KeyError):
        return
    if (failure.kind, failure.versions) == (kind, _versions()):
        raise UnfitError(failure.what, where=where, hint=failure.hint)


def _versions() -> dict[str, str]:
    """Return the versions of what converts, without importing it."""
    packages = ("embedkit", "torch", "transformers", "sentence-transformers", "tokenizers")
    return {name: version(name) for name in packages}


def is_intact(file: Path, check: Check) -> bool:
    """True when a file has the size it was written with and, the weights apart, the content."""
    try:
        return file.stat().st_size == check.size and (
            file.name == WEIGHTS or file_sha256(file) == check.sha256
        )
    except OSError:
        return False


def choose_precision(wanted: Precision, bf16_cosine: float | None) -> Literal["fp32", "bf16"]:
    """Return the precision to compute in; `auto` is bf16 where the processor has it and it comes close."""
    if wanted != "auto":
        return wanted
    return "bf16" if bf16_cosine is not None and bf16_cosine >= LOWEST_COSINE else "fp32"


def compile_model(path: Path, precision: Literal["fp32", "bf16"]) -> Any:
    """Compile a conversion, from what was kept of compiling it before where that still fits."""
    core = openvino().Core()
    config = compile_config(precision)
    blob = path / f"{precision}.blob"
    if blob.is_file():
        with suppress(RuntimeError):  # compiled by a processor or version that differs after all
            return core.import_model(
                blob.read_bytes(), "CPU", {**config, "WEIGHTS_PATH": str(path / WEIGHTS)}
            )
    compiled = core.compile_model(path / MODEL, "CPU", config)
    if precision == "bf16" and compiled.get_property("INFERENCE_PRECISION_HINT").to_string() != "bf16":
        raise ModelError("the processor cannot compute in bf16", where="--precision bf16")
    return compiled


def compile_config(precision: Literal["fp32", "bf16"]) -> dict[str, str]:
    """Return OpenVINO's settings: batches side by side, and exports that leave the weights where they are.

    A process that shares its machine with others is told its share of threads by EMBEDKIT_THREADS, which are
    not tied to processors: those of the others would be tied to the same ones.
    """
    hint = "f32" if precision == "fp32" else precision
    threads = os.environ.get("EMBEDKIT_THREADS")
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": hint,
        "CACHE_MODE": "OPTIMIZE_SIZE",
        **({"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": "NO"} if threads else {}),
    }
