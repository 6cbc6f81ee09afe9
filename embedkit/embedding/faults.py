"""Exceptions from the code of a model or of its runtime, turned into errors of one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from embedkit.errors import ModelError, foreign

_FAULTS = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError)


@contextmanager
def as_model_error(what: str, *, where: str) -> Iterator[None]:
    """Turn an exception of a model's code into a ModelError `what: reason` about the model called `where`."""
    try:
        yield
    except _FAULTS as error:
        raise ModelError(f"{what}: {reason(error)}", where=where) from error


def reason(error: BaseException) -> str:
    """Return an error's message; of OpenVINO's errors, which begin with source locations, only the last
    line.
    """
    while cause := error.__cause__ or error.__context__:
        error = cause
    text = foreign(error).strip() or type(error).__name__
    return text.splitlines()[-1].strip(" -") if text.startswith("Exception from ") else text
