"""What the code of a model or of its runtime raises becomes one error of one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from embedkit.errors import ModelError

_FAULTS = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError)


@contextmanager
def as_model_error(what: str, *, where: str) -> Iterator[None]:
    """Raise ModelError `what: reason` about the model called `where` for whatever its code raises."""
    try:
        yield
    except _FAULTS as error:
        raise ModelError(f"{what}: {reason(error)}", where=where) from error


def reason(error: BaseException) -> str:
    """Return what an error says: of OpenVINO's, which begin with places in its code, the last line."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[-1].strip(" -") if text.startswith("Exception from ") else text
