"""The errors embedkit raises on purpose, each one line: `WHERE: WHAT; HINT`.

EmbedkitError                 understood but not possible: exit code 1
├── DataError                 a record, file or stream is not what it claims to be
├── FormatError               something embedkit wrote is of another format or version, or damaged
├── MismatchError             two things do not belong together (widths, encoders); both sides are named
├── ModelError                a model is missing, unsafe to load, or cannot do what is asked
├── ExistsError               the output is already there and --force was not given
├── DivergedError         training came to numbers that are not finite
├── MissingPackageError       an optional package is needed
├── ClusterError              a cluster cannot be reached, or lost its machines
└── UsageError                the request itself is wrong: exit code 2
    └── UnknownNameError      a name that is not among the known ones; says the nearest
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class EmbedkitError(Exception):
    """A failure that a user can understand; `where` is a file, a record or an option."""

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


def same_error(kind: type[EmbedkitError], what: str, where: str | None, hint: str | None) -> EmbedkitError:
    """Return an error as it was in another process."""
    error = kind.__new__(kind, what)
    EmbedkitError.__init__(error, what, where=where, hint=hint)
    return error


class DataError(EmbedkitError):
    """A record, file or stream is not what it claims to be."""


class FormatError(EmbedkitError):
    """Something embedkit wrote is of another format or version, or damaged."""


class MismatchError(EmbedkitError):
    """Two things do not belong together; the message names both sides."""


class ModelError(EmbedkitError):
    """A model is missing, unsafe to load, or cannot do what is asked."""


class DivergedError(EmbedkitError):
    """Training came to a loss, a gradient or weights that are not finite."""


class ExistsError(EmbedkitError):
    """The output is already there and overwriting was not asked for."""


class MissingPackageError(EmbedkitError):
    """A package is needed for this and not installed; `extra` names the extra that brings it, if one does."""

    def __init__(self, package: str, *, needed_for: str, extra: str | None = None) -> None:
        install = f"'embedkit[{extra}]'" if extra else package
        super().__init__(f"{needed_for} needs the package {package}", hint=f"pip install {install}")


class ClusterError(EmbedkitError):
    """A cluster cannot be reached, or lost what worked on a task too often."""


class UsageError(EmbedkitError):
    """The request itself is wrong, whatever the data."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not among the known ones."""

    def __init__(self, name: str, known: Iterable[str], *, what: str, where: str | None = None) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {what} {name!r}", where=where, hint=hint)
