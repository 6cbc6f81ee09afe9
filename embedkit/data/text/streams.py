"""Input streams: a path, `-` or a URL is opened and decompressed; its kind is detected, its beginning can be
inspected, and its position can be read.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, cast

from embedkit.data.lookahead import Ahead, LineFeeds
from embedkit.data.names import is_url
from embedkit.data.text.compression import compression_of, decompressed
from embedkit.data.text.input_kinds import (
    ARRAY_HINT,
    LINES,
    InputKind,
    has_only_carriage_returns,
    is_array,
    kind_of,
    require_text,
    sniffed_kind,
)
from embedkit.data.text.lines import numbered
from embedkit.data.text.read_errors import readable
from embedkit.data.text.table_streams import Table, open_table, require_distinct
from embedkit.errors import DataError

_BUFFER = 1 << 20  # bytes read at a time


@dataclass
class Stream:
    """An open input: `file` returns the decompressed bytes, `raw` is the file that is really read (for
    progress).
    """

    name: str  # as named by the user; "-" for standard input
    kind: InputKind
    file: BinaryIO
    ahead: Ahead  # the source of `file`, for inspection before reading
    raw: BinaryIO
    compression: str | None  # compression of `raw`; None: `raw` and `file` have the same bytes
    size: int | None  # bytes of `raw` when known
    rows_before: int = 0  # lines or rows before the first of `file` or `table`, for places and ids
    first_group: int = 0  # the first row group of a parquet file that `table` yields

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Return the number of each line and the line, without a byte order mark."""
        return numbered(self.file, self.rows_before + 1)

    def lines_ahead(self) -> Iterator[tuple[int, bytes]]:
        """Return what `lines` returns; the lines can be read again."""
        return numbered(self.ahead.lines(), self.rows_before + 1)

    def first_line(self) -> tuple[int, bytes]:
        """Return the number of the first line that is not blank, and the line; 1 and no bytes when all lines
        are blank.
        """
        return next(((number, line) for number, line in self.lines_ahead() if line.strip()), (1, b""))

    def begin(self, rows: int, offset: int) -> None:
        """Skip the first `rows` lines or rows; `offset` is the byte of the next line, or the next row group
        of parquet.
        """
        self.rows_before = rows
        if self.kind == "parquet":
            self.first_group = offset
        else:
            self.file.seek(offset)

    def tell(self) -> int:
        """Return how many of the `size` bytes have been read."""
        try:
            return self.raw.tell()
        except OSError:
            return 0

    @cached_property
    def table(self) -> Table:
        """Return the schema and batches of a parquet or arrow (file or stream) input, which is opened once.

        Raises DataError when it is incomplete, has two columns of one name, or is a pipe and its kind needs a
        file.
        """
        with readable(self.name):
            table = open_table(self)
        require_distinct(table.schema.names, self.name)
        return table


@contextmanager
def open_stream(name: str, kind: InputKind | None = None) -> Iterator[Stream]:
    """Open `name` for reading; `kind` is the kind of its content, otherwise its extension or first bytes
    decide.

    Raises DataError in one line for an input that is missing, a folder, unreadable, or badly compressed.
    """
    with ExitStack() as stack:
        with readable(name):
            raw = stack.enter_context(_open_raw(name))
            ahead = Ahead(raw)
            compression = compression_of(name, ahead)
            if compression:
                ahead = Ahead(decompressed(_buffered(ahead), compression))
            kind = kind or kind_of(name) or sniffed_kind(ahead)
            if kind in LINES:
                require_text(name, ahead)
                if has_only_carriage_returns(ahead):
                    ahead = LineFeeds(_buffered(ahead))
                if kind == "jsonl" and is_array(ahead):
                    raise DataError(
                        "is a JSON array, expected an object per line", where=name, hint=ARRAY_HINT
                    )
            stream = Stream(name, kind, _buffered(ahead), ahead, raw, compression, _size(raw))
        yield stream


@contextmanager
def _open_raw(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
    elif is_url(name):
        with _open_url(name) as file:
            yield file
    else:
        with open(name, "rb", buffering=0) as file:
            yield cast(BinaryIO, file)


@contextmanager
def _open_url(name: str) -> Iterator[BinaryIO]:
    import fsspec

    try:
        file = fsspec.open(name, "rb").open()
    except OSError:
        raise
    except ImportError as error:
        raise DataError(f"needs a package that is not installed: {error}", where=name) from None
    except Exception as error:  # every store raises its own exceptions
        raise DataError(f"cannot be opened: {error}", where=name) from error
    with file:
        yield file


def _size(raw: BinaryIO) -> int | None:
    try:
        return os.fstat(raw.fileno()).st_size or None
    except (OSError, AttributeError, io.UnsupportedOperation):
        return cast("int | None", getattr(raw, "size", None))


def _buffered(ahead: Ahead) -> BinaryIO:
    return io.BufferedReader(ahead, _BUFFER)
