"""Conversion in a separate process: if a native library crashes, only that process ends.

It performs the steps of a later run: it traces the model, compiles it in each precision, loads the saved
files, runs batches of many shapes and compares the vectors with torch. The calling process does not import
torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from signal import Signals
from typing import Any

import orjson

from embedkit.data.atomic import whole_folder
from embedkit.data.cache_folder import cache_folder
from embedkit.embedding.compiled import (
    CompiledRuntime,
    EntryKey,
    UnfitError,
    current_kind,
    logger,
    open_entry,
    require_no_failure,
    write_failure,
)
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.fingerprint import fingerprint
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import read
from embedkit.errors import ModelError

LONGEST = 3600  # seconds: a longer conversion is taken to hang
_SIGNALS = {signal.value: signal.name for signal in Signals}
_FROM_OUTSIDE = ("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM")  # the kernel sends SIGKILL when memory runs out

_START = """
import sys
sys.path[:] = sys.argv[1:]
from embedkit.embedding.conversion_process import main
main()
"""


def convert_apart(target: Path, kind: EntryKey, folder: ModelFolder, settings: EncoderSettings) -> None:
    """Convert a model in another process, which writes the result into the folder `target`.

    Raises UnfitError when the model cannot be converted and a retry would fail too, ModelError when a retry
    might succeed, and OSError when the entry cannot be written.
    """
    order = {
        "target": str(target),
        "kind": kind._asdict(),
        "name": folder.name,
        "path": str(folder.path),
        "settings": asdict(settings),
        "parent": os.getpid(),
    }
    command = [sys.executable, "-c", _START, *sys.path]
    try:
        done = subprocess.run(
            command, input=orjson.dumps(order), capture_output=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"cannot be compiled (this takes more than {LONGEST} seconds)", where=folder.name
        ) from None
    except OSError as error:
        raise ModelError(f"cannot be compiled (no process starts: {error})", where=folder.name) from None
    if done.returncode != 0:
        _raise_crash(done, where=folder.name)
    answer = orjson.loads(done.stdout)
    if answer["error"] == "disk":
        raise OSError(answer["number"], answer["what"])
    if answer["error"] == "model":
        raise UnfitError(answer["what"], where=folder.name, hint=answer["hint"])


def _raise_crash(done: subprocess.CompletedProcess[bytes], *, where: str) -> None:
    """Raise the error for a process that ended without an answer."""
    if done.returncode < 0:
        name = _SIGNALS.get(-done.returncode, f"signal {-done.returncode}")
        if name in _FROM_OUTSIDE:
            raise ModelError(
                f"cannot be compiled (the process that compiled it was ended by {name})", where=where
            )
        raise UnfitError(f"cannot be compiled (OpenVINO crashes with {name})", where=where)
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
    raise ModelError(f"cannot be compiled ({last[0]})", where=where)


def main() -> None:
    """Execute the order on standard input, and answer with one line of JSON on standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print; only the answer goes to standard output
    order = orjson.loads(sys.stdin.buffer.read())
    threading.Thread(target=_end_with, args=(order["parent"],), daemon=True).start()
    answers.write(orjson.dumps(_obey(order)))
    answers.close()
    os._exit(0)  # all is written; unloading the libraries takes time, and some crash


def _obey(order: dict[str, Any]) -> dict[str, Any]:
    from embedkit.embedding.conversion import convert_into

    settings = EncoderSettings(**order["settings"])
    folder = ModelFolder(order["name"], Path(order["path"]), allow_pickle=settings.allow_pickle)
    try:
        convert_into(Path(order["target"]), EntryKey(**order["kind"]), folder, settings)
    except OSError as error:
        return {"error": "disk", "number": error.errno, "what": error.strerror or str(error)}
    except ModelError as error:
        return {"error": "model", "what": error.what, "hint": error.hint}
    return {"error": None}


def _end_with(parent: int) -> None:
    """Exit when the parent process has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


_loading = threading.Lock()


def load_compiled(folder: ModelFolder, settings: EncoderSettings) -> CompiledRuntime:
    """Return the encoder compiled for the processor, from the cache or newly converted.

    Raises ModelError when the model cannot be converted, and records that in the cache. A cache that cannot
    be written costs a warning only.
    """
    kind = current_kind(read(folder, settings).fingerprint(folder))
    path = cache_folder("compiled") / f"{kind.fingerprint}-{fingerprint(kind.processor)[:8]}"
    with _loading:
        require_no_failure(path, kind, where=folder.name)
        return open_entry(path, kind, settings.precision) or _convert(path, kind, folder, settings)


def _convert(path: Path, kind: EntryKey, folder: ModelFolder, settings: EncoderSettings) -> CompiledRuntime:
    """Convert, and open the result from the cache; if the cache cannot be written, use a temporary folder."""

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(path) as beside:
            try:
                convert_apart(beside, kind, folder, settings)
            except UnfitError as error:
                write_failure(beside, kind, error)
        require_no_failure(path, kind, where=folder.name)
        if runtime := open_entry(path, kind, settings.precision):
            return runtime
    except OSError as error:
        reason = error.strerror or error
        logger.warning(
            "%s: cannot be written (%s); the model is compiled again each time", path.parent, reason
        )
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as passing:
            convert_apart(Path(passing), kind, folder, settings)
            if runtime := open_entry(Path(passing), kind, settings.precision):
                return runtime
    except OSError as error:
        raise ModelError(f"cannot be compiled: {error}", where=folder.name) from error
    raise ModelError("cannot be compiled: the written model cannot be read back", where=folder.name)
