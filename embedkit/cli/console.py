"""Connect a command to its terminal: standard input, one-line errors and progress."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from embedkit.data.names import readable_name
from embedkit.errors import EmbedkitError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from embedkit.data.text.records import RecordReader


_SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def with_options(message: str) -> str:
    """Return a message of the library with each setting that it names, such as `max_length=512`, written as
    the option.
    """
    return _SETTING.sub(lambda setting: _option(*setting.groups()), message)


def _option(name: str, value: str | None) -> str:
    no = "no-" if value == "False" else ""
    option = f"-{name}" if len(name) == 1 else f"--{no}{name.replace('_', '-')}"
    return option if value in (None, "True", "False") else f"{option} {value}"


def say(message: str) -> None:
    """Write one line to standard error, with settings as options."""
    print(f"embedkit: {with_options(message)}", file=sys.stderr, flush=True)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line and the exit code of an error that is not a bug; raise the error if it is a bug."""
    if isinstance(error, EmbedkitError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno not in (None, errno.EPIPE):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno or 0).lower()}", 1
    if isinstance(error, UnicodeEncodeError) and "\ud800" <= error.object[error.start] <= "\udfff":
        hint = "rename it to UTF-8"  # some libraries cannot open it, though Python can
        return (
            f"{readable_name(error.object)}: its name is not UTF-8, which this command cannot open; {hint}",
            1,
        )
    raise error


def input_names(files: list[str] | None) -> list[str]:
    """Return the named inputs, or standard input if it is piped; raise UsageError if it is a terminal."""
    if files:
        if files.count("-") > 1:
            raise UsageError("standard input can be read only once", where="-")
        return files
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no input: stdin is a terminal", hint="name a FILE or pipe text in")
    return ["-"]


def relay_warnings(quiet: bool, *, notes: bool = False) -> None:
    """Print the library's warnings, and its notes if `notes` is True, as lines on standard error."""

    said: set[str] = set()

    class Lines(logging.Handler):
        """Prints records as lines on standard error."""

        def emit(self, record: logging.LogRecord) -> None:
            """Print a record as one line."""
            line = record.getMessage()
            if record.levelno < logging.WARNING or line not in said:  # print a repeated warning once
                say(line)
            said.add(line)

    logger = logging.getLogger("embedkit")
    logger.handlers = [Lines()]
    logger.propagate = False
    logger.setLevel(logging.ERROR if quiet else logging.INFO if notes else logging.WARNING)


class HasRows(Protocol):
    """A batch, or another record of several rows."""

    @property
    def rows(self) -> int:
        """The number of rows."""


Rows = TypeVar("Rows", bound=HasRows)


class Progress:
    """A counter of rows; a `with` block shows it as a bar on standard error if that is a terminal."""

    def __init__(self, quiet: bool, reader: RecordReader | None = None, total: int | None = None) -> None:
        self.rows, self.started = 0, time.monotonic()
        self._reader, self._total = reader, total
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            self._bar = _rich_bar()
            self._task = self._bar.add_task("", total=None, rows=0, speed=0.0)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, rows: int) -> None:
        """Count the rows of one batch."""
        self.rows += rows
        if self._bar is not None:
            done, total = self._position()
            self._bar.update(self._task, completed=done, total=total, rows=self.rows, speed=self.speed)

    def track(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Yield batches, and show the progress."""
        with self:
            for batch in batches:
                self.add(batch.rows)
                yield batch

    def run(self, batches: Iterable[HasRows]) -> None:
        """Consume all batches, and show the progress."""
        for _ in self.track(batches):
            pass

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def speed(self) -> float:
        """Rows per second since the start."""
        return self.rows / max(self.seconds, 1e-9)

    def _position(self) -> tuple[int, int | None]:
        if self._reader is not None:
            return self._reader.bytes_read, self._reader.size
        return self.rows, self._total


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TextColumn("{task.fields[speed]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )


@contextlib.contextmanager
def kept_when_interrupted(output: Path, quiet: bool) -> Iterator[None]:
    """Print the name of the partial output that is kept, when the user interrupts the block."""
    from embedkit.data.vectors.vector_set_writing import partial_folder

    try:
        yield
    except KeyboardInterrupt:
        if partial_folder(output).exists() and not quiet:
            say(f"interrupted; {partial_folder(output)} keeps the finished part; continue it with --resume")
        raise
