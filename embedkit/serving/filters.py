"""Rows chosen by conditions, in processes that are ended when a condition takes too long or too much memory.

A condition is SQL of a stranger. `where.py` refuses what could read a file; what could still use up the
processor or the memory, such as nested lists, ends with a process that has nothing else to do.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from queue import LifoQueue
from typing import Any

import numpy as np
import orjson

from embedkit import errors
from embedkit.errors import EmbedkitError, UsageError, same_error
from embedkit.indexing.kind import Mask
from embedkit.indexing.manifest import Manifest
from embedkit.indexing.store import Index
from embedkit.serving.http_errors import BUSY, RequestError
from embedkit.serving.serve_settings import Limits

_GRACE = 1.0  # seconds that a process has beyond the limit, to say itself that the limit is reached
_START = 20.0  # seconds for a process to start, on a busy machine
_KEPT_BYTES, _KEPT_MASKS = 64_000_000, 64


class Filters:
    """Masks of rows by conditions; the latest are kept, because a filter stays while a query is typed."""

    def __init__(self, limits: Limits, processes: int = 2) -> None:
        self._limits = limits
        self._idle: LifoQueue[_FilterProcess] = LifoQueue()
        self._all = [_FilterProcess(limits) for _ in range(processes)]
        for each in self._all:
            self._idle.put(each)
        self._masks: OrderedDict[tuple[int, str], tuple[Manifest, Mask]] = OrderedDict()
        self._changing = threading.Lock()

    def mask(self, index: Index, condition: str) -> Mask:
        """Return the mask of rows for which a condition holds, as `rows_where` does, with its errors."""
        key = (id(index.manifest), condition)
        with self._changing:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key][1]
        process = self._idle.get()
        try:
            mask = process.mask(index, condition)
        finally:
            self._idle.put(process)
        self._keep(key, index.manifest, mask)
        return mask

    def start(self) -> None:
        """Start a process, which takes a moment, so that the first condition need not wait for it."""
        process = self._idle.get()
        try:
            process.start()
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.close()

    def _keep(self, key: tuple[int, str], manifest: Manifest, mask: Mask) -> None:
        """Keep a mask together with its manifest, whose id stays its own for as long."""
        with self._changing:
            self._masks[key] = manifest, mask
            while len(self._masks) > max(1, min(_KEPT_MASKS, _KEPT_BYTES // max(1, mask.nbytes))):
                self._masks.popitem(last=False)


class _FilterProcess:
    """A process that evaluates conditions, one at a time; it starts at the first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._changing, self._closed = threading.Lock(), False

    def mask(self, index: Index, condition: str) -> Mask:
        """Return the rows of an index that satisfy a condition."""
        header, content = self._asked(self.start(), index, condition)
        if header is None:
            self.end()
            seconds, memory = self._limits.where_seconds, self._limits.where_memory
            what = f"takes longer than {seconds:g} seconds, or needs more memory than {memory}"
            raise UsageError(what, where="`where`")
        if "error" in header:
            kind = getattr(errors, header["error"], EmbedkitError)
            raise same_error(kind, header["what"], header["where"], header["hint"])
        return np.unpackbits(np.frombuffer(content, np.uint8), count=header["rows"]).view(bool)

    def start(self) -> subprocess.Popen[bytes]:
        """Return the process, which is started if none runs."""
        with self._changing:
            if self._closed:
                raise RequestError(BUSY, "the server is stopping")
            if self._process is not None:
                return self._process
            process = self._process = self._started()
        _read(process, _START)  # says that it is ready
        return process

    def close(self) -> None:
        """End the process for good."""
        with self._changing:
            self._closed = True
        self.end()

    def end(self) -> None:
        """End the process; the next condition starts another."""
        with self._changing:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # a question that the process did not read
                        pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        limits = self._limits
        command = [sys.executable, "-m", "embedkit.serving.filter_process"]
        given = [str(limits.where), str(limits.where_seconds), limits.where_memory]
        return subprocess.Popen(
            [*command, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal ends the server, which ends its processes
        )

    def _asked(
        self, process: subprocess.Popen[bytes], index: Index, condition: str
    ) -> tuple[dict[str, Any] | None, bytes]:
        """Return the answer of the process; None if it ended, or had to be ended."""
        assert process.stdin is not None
        manifest = index.manifest.to_bytes().decode()
        question = {"path": str(index.path), "manifest": manifest, "condition": condition}
        try:
            process.stdin.write(orjson.dumps(question, option=orjson.OPT_APPEND_NEWLINE))
            process.stdin.flush()
            return _read(process, self._limits.where_seconds + _GRACE)
        except (OSError, ValueError):  # its pipes are closed
            return None, b""


def _read(process: subprocess.Popen[bytes], seconds: float) -> tuple[dict[str, Any] | None, bytes]:
    """Return a header and its content from a process, which is killed if it does not answer in time."""
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        header = process.stdout.readline()
        if not header.endswith(b"\n"):
            return None, b""
        value = orjson.loads(header)
        return value, process.stdout.read(value.get("bytes", 0))
    finally:
        timer.cancel()
