"""A process that answers function calls one after the other; a call that takes too long ends the process, not
the command.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from embedkit.data.isolated_call import DiedError, end_of, error_of, only_answers, result_of

_WORKER = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from embedkit.data.isolated_worker import _answer_all; _answer_all()"
)
_PATIENCE = 2  # seconds in which an idle process ends by itself
_GRACE = 10  # seconds after which a call that is too long ends itself, if its caller has died


class Worker:
    """A separate process for calls that follow one another.

    It starts with the first call, and anew after a call that ended it. It ends with `close`, with a `with`
    block, or with this process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process is not None:
                _end(self._process)
                self._process = None

    def call(self, function: Callable[..., Any], *arguments: Any, seconds: int) -> Any:
        """Call a module's function and return its result; arguments and result must be JSON values.

        Raises what the function raises, TimeoutError when the call takes more than `seconds`, and DiedError
        when the process ends in another way.
        """
        question = json.dumps([function.__module__, function.__name__, arguments, seconds])
        with self._lock:
            answer = self._answer_of(question.encode() + b"\n", seconds)
        value, raised = json.loads(answer)
        if raised is not None:
            raise error_of(*raised)
        return value

    def _answer_of(self, question: bytes, seconds: int) -> bytes:
        process = self._process = self._process or _started()
        assert process.stdin is not None
        assert process.stdout is not None
        timer, start = threading.Timer(seconds, process.kill), time.monotonic()
        timer.start()
        answer = b""
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(question)
                process.stdin.flush()
            answer = process.stdout.readline()
        except BaseException:  # the user interrupts
            process.kill()
            raise
        finally:
            timer.cancel()
            if not answer.endswith(b"\n"):
                self._process = None
                _end(process)
        if answer.endswith(b"\n"):
            return answer
        if time.monotonic() - start >= seconds:
            raise TimeoutError(f"takes more than {seconds} seconds")
        raise DiedError(end_of(process.returncode))


def _started() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(sys.path).encode() + b"\n")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, which stops when its input ends, and release its pipes; a process that has died keeps
    its exit code.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    process.kill()
    process.stdout.close()
    process.wait()


def _answer_all() -> None:
    """Answer the questions on standard input, a line each, until it ends."""
    with open(only_answers(), "w", encoding="utf-8") as answers:
        for line in sys.stdin.buffer:
            module, name, arguments, seconds = json.loads(line)
            if hasattr(signal, "alarm"):
                signal.alarm(seconds + _GRACE)
            answers.write(json.dumps(result_of(module, name, arguments)) + "\n")
            answers.flush()
            if hasattr(signal, "alarm"):
                signal.alarm(0)
