"""A function call in a separate process, so that a crash in a native library does not end the command, and
its output is not shown.
"""

from __future__ import annotations

import builtins
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from embedkit import errors

_CHILD = (
    "import json, sys; question = json.load(sys.stdin); sys.path[:] = question[0]; "
    "from embedkit.data.isolated_call import _answer; _answer(*question[1:])"
)


class DiedError(Exception):
    """The process ended without an answer; the message names the signal or the exit code."""


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a module's function in a separate process and return its result; arguments and result must be JSON
    values.

    Raises what the function raises, and DiedError when the process ends in another way.
    """
    question = [sys.path, function.__module__, function.__name__, arguments]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(question).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode or not done.stdout:
        raise DiedError(end_of(done.returncode))
    value, raised = json.loads(done.stdout)
    if raised is not None:
        raise error_of(*raised)
    return value


def _answer(module: str, name: str, arguments: list[object]) -> None:
    """Write the function's result to standard output, which receives nothing else."""
    out = only_answers()
    with open(out, "w", encoding="utf-8") as answer:
        json.dump(result_of(module, name, arguments), answer)


def only_answers() -> int:
    """Return a descriptor of standard output, to which nothing else can be written from now on."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return out


def result_of(module: str, name: str, arguments: list[object]) -> tuple[Any, Any]:
    """Return the value of a function and what it raised; one of them is None."""
    try:
        return getattr(import_module(module), name)(*arguments), None
    except errors.EmbedkitError as error:
        return None, (type(error).__name__, error.what, error.where, error.hint)
    except Exception as error:
        return None, (type(error).__name__, str(error), None, None)


def error_of(name: str, what: str, where: str | None, hint: str | None) -> Exception:
    """Return an error as it was raised in the other process."""
    kind = getattr(errors, name, None)
    if kind is not None:
        return errors.same_error(kind, what, where, hint)
    found: Exception = getattr(builtins, name, RuntimeError)(what)
    return found


def end_of(code: int) -> str:
    """Return in words how a process ended."""
    with suppress(ValueError):
        return f"the process ended by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code}"
