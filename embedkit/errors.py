"""The errors embedkit raises on purpose, each one line: `WHERE: WHAT; HINT`.

The library names a setting in backticks, as Python does: `max_length`, `force=True`, `pooling=mean`. The
command line prints its option instead: `--max-length`, `--force`, `--pooling mean`.

EmbedkitError                 a failure with an explanation: exit code 1
├── DataError                 a record, file or stream is missing, unreadable or invalid
├── FormatError               a file that embedkit wrote has another format or version, or is damaged
├── MismatchError             two things do not fit together (dimensions, encoders); both sides are named
├── ModelError                a model is missing, unsafe to load, or lacks the requested feature
├── ExistsError               the output already exists and was not to be overwritten
├── DivergedError             training reached values that are not finite
├── MissingPackageError       an optional package is required
├── ClusterError              a cluster cannot be reached, or lost its machines
└── UsageError                the request itself is wrong: exit code 2
    └── UnknownNameError      a name is not among the known ones; the error suggests the nearest
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class EmbedkitError(Exception):
    """A failure that a user can understand; `where` names a file, a record or a setting."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.hint = what, where, hint

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        hint = f"; {self.hint}" if self.hint else ""
        return " ".join(f"{where}{self.what}{hint}".splitlines())

    def __reduce__(self) -> tuple[Any, ...]:
        return same_error, (type(self), self.what, self.where, self.hint)


def foreign(error: BaseException) -> str:
    """Return the message of another library's error, without the backticks that mark settings here."""
    return str(error).replace("`", "'")


def same_error(kind: type[EmbedkitError], what: str, where: str | None, hint: str | None) -> EmbedkitError:
    """Return an error as it was raised in another process."""
    error = kind.__new__(kind, what)
    EmbedkitError.__init__(error, what, where=where, hint=hint)
    return error


class DataError(EmbedkitError):
    """A record, file or stream is missing, unreadable or invalid."""


class FormatError(EmbedkitError):
    """A file that embedkit wrote has another format or version, or is damaged."""


class MismatchError(EmbedkitError):
    """Two things do not fit together; the message names both sides."""


class ModelError(EmbedkitError):
    """A model is missing, unsafe to load, or lacks the requested feature."""


class DivergedError(EmbedkitError):
    """Training reached a loss, a gradient or weights that are not finite."""


class ExistsError(EmbedkitError):
    """The output already exists and overwriting was not requested."""


class MissingPackageError(EmbedkitError):
    """A required package is not installed; `extra` names the extra that installs it, if one does."""

    def __init__(self, package: str, *, needed_for: str, extra: str | None = None) -> None:
        install = f"'embedkit[{extra}]'" if extra else package
        super().__init__(f"{needed_for} needs the package {package}", hint=f"pip install {install}")


class ClusterError(EmbedkitError):
    """A cluster cannot be reached, or lost the workers of one task too often."""


class UsageError(EmbedkitError):
    """The request itself is wrong, independent of the data."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name is not among the known ones; the hint suggests the nearest."""

    def __init__(self, name: str, known: Iterable[str], *, what: str, where: str | None = None) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {what} {name!r}", where=where, hint=hint)
