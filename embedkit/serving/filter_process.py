"""The process behind `filters.py`: reads conditions from standard input, and writes masks of rows.

Each question is a line of JSON; its answer is a line of JSON, and then the mask, eight rows per byte.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import orjson

from embedkit.errors import EmbedkitError
from embedkit.indexing.manifest import parse_manifest
from embedkit.indexing.store import Index
from embedkit.indexing.where import WhereLimits, rows_where

_GRACE = 10  # seconds beyond the limit after which the process ends, if nothing else has ended it
_BESIDE = 1_500_000_000  # bytes of memory for the interpreter and its libraries


def main() -> None:
    """Answer questions until standard input ends."""
    characters, seconds, memory = sys.argv[1:]
    limits = WhereLimits(int(characters), float(seconds), memory)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is not an answer
    _limit_memory(memory)
    _import_libraries()
    _write(answers, {"ready": True})
    for line in sys.stdin.buffer:
        if hasattr(signal, "alarm"):
            signal.alarm(round(limits.seconds) + _GRACE)
        _answer(answers, orjson.loads(line), limits)
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _answer(answers: IO[bytes], question: dict[str, str], limits: WhereLimits) -> None:
    try:
        mask = rows_where(_index(question["path"], question["manifest"]), question["condition"], limits)
    except EmbedkitError as error:
        kind = type(error).__name__
        _write(answers, {"error": kind, "what": error.what, "where": error.where, "hint": error.hint})
        return
    bits = np.packbits(mask).tobytes()
    _write(answers, {"rows": len(mask), "bytes": len(bits)}, bits)


@lru_cache(maxsize=4)
def _index(path: str, manifest: str) -> Index:
    """Return an index at the generation of the server, which keeps its files."""
    return Index(Path(path), parse_manifest(Path(path), manifest.encode()))


def _write(answers: IO[bytes], header: dict[str, object], content: bytes = b"") -> None:
    answers.write(orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE) + content)
    answers.flush()


def _limit_memory(memory: str) -> None:
    """Let allocations fail beyond the limit; documents are mapped and do not count."""
    try:
        import resource
    except ImportError:
        return
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    most = int(memory[:-2]) * units[memory[-2:]] + _BESIDE
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _import_libraries() -> None:
    """Import what a condition needs, so that the time of the first one is that of the later ones."""
    import contextlib

    with contextlib.suppress(ImportError):
        import duckdb
        import pyarrow as pa

        connection = duckdb.connect()
        connection.register("t", pa.table({"x": [1]}))
        connection.execute("select x from t").fetchnumpy()


if __name__ == "__main__":
    main()
