"""Input streams: a path, `-` or a URL is opened and decompressed; its kind is detected, its beginning can be
inspected, and its position can be read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast, get_args

from embedkit.data.ahead import Ahead, LineFeeds
from embedkit.errors import DataError, EmbedkitError

InputKind = Literal["text", "jsonl", "csv", "tsv", "parquet", "arrow", "npy"]
KINDS: tuple[str, ...] = get_args(InputKind)

EXTENSIONS: dict[str, InputKind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".arrow": "arrow", ".arrows": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".npy": "npy",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}

_COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
# for bzip2, "BZh" alone is too short: a line of text may begin with it
_COMPRESSION_MAGIC |= {b"BZh%d1AY&SY" % level: "bz2" for level in range(1, 10)}
_KIND_MAGIC: dict[bytes, InputKind] = {
    b"\xff\xff\xff\xff": "arrow",
    b"ARROW1": "arrow",
    b"PAR1": "parquet",
    b"\x93NUMPY": "npy",
}
_FOREIGN_MAGIC = {b"PK\x03\x04": "a zip archive, as .xlsx and .docx files are", b"%PDF-": "a PDF document"}
_WIDE_MARKS = {  # ordered so that no mark is the beginning of a later one
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip
_LINES: tuple[InputKind, ...] = ("text", "jsonl", "csv", "tsv")
_BOM = b"\xef\xbb\xbf"
_BUFFER = 1 << 20  # bytes read at a time
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


ARRAY_HINT = "write its elements as JSON lines, as jq -c '.[]' does"


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

    def lines_ahead(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of each line and the line, without a byte order mark; `file` returns them
        again.
        """
        for number, line in enumerate(self.ahead.lines(), self.rows_before + 1):
            yield number, line.removeprefix(_BOM) if number == 1 else line

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
            table = _open_table(self)
        require_distinct(table.schema.names, self.name)
        return table


class Table(NamedTuple):
    """The schema of an opened parquet or arrow input, its record batches, and the rows per row group."""

    schema: Any
    batches: Iterator[Any]
    group_rows: tuple[int, ...] = ()  # of all row groups of a parquet file


def require_distinct(names: Sequence[str], where: str) -> None:
    """Raise DataError when two columns have the same name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"has more than one column {', '.join(map(repr, repeated))}", where=where)


def kind_of(name: str) -> InputKind | None:
    """Return the kind for a name's extension, or None; a compression extension after it is ignored."""
    path = _path(name)
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return EXTENSIONS.get(path.suffix)


def is_url(name: str) -> bool:
    """Return whether a name is a URL for fsspec rather than a path."""
    return "://" in name


def _path(name: str) -> Path:
    return Path((name.partition("?")[0] if is_url(name) else name).lower())


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
            compression = COMPRESSIONS.get(_path(name).suffix) or _by_magic(ahead, _COMPRESSION_MAGIC)
            if compression:
                ahead = Ahead(_decompress(_buffered(ahead), compression))
            kind = kind or kind_of(name) or _sniff(ahead)
            if kind in _LINES:
                _require_text(name, ahead)
                if _only_carriage_returns(ahead):
                    ahead = LineFeeds(_buffered(ahead))
                if kind == "jsonl" and _is_array(ahead):
                    raise DataError(
                        "is a JSON array, expected an object per line", where=name, hint=ARRAY_HINT
                    )
            stream = Stream(name, kind, _buffered(ahead), ahead, raw, compression, _size(raw))
        yield stream


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert an error while `name` is read into one DataError that names it; wrap reads only."""
    try:
        yield
    except EmbedkitError:
        raise
    except FileNotFoundError:
        raise DataError("no such file", where=name) from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", where=name) from None
    except PermissionError:
        raise DataError("permission denied", where=name) from None
    except _BROKEN as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise DataError(f"cannot be read: {error}", where=name) from error


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


def _by_magic(ahead: Ahead, table: Mapping[bytes, str]) -> str | None:
    """Return the table's value for the first bytes; no more bytes are inspected than could belong to an
    entry.
    """
    for size in range(1, 1 + max(map(len, table))):
        head = ahead.beginning(size)
        if head in table:
            return table[head]
        if len(head) < size or not any(magic.startswith(head) for magic in table):
            break
    return None


def _sniff(ahead: Ahead) -> InputKind:
    """Return the kind of a stream without an extension from its first bytes: a JSON object on the first line
    that is not blank means JSONL.
    """
    if by_magic := _by_magic(ahead, _KIND_MAGIC):
        return cast(InputKind, by_magic)
    lines = _written_lines(ahead)
    start = next(lines, b"")
    if start == b"[":
        start += next(lines, b"")
    return "jsonl" if re.match(rb"\{|\[\s*\{", start) else "text"


def _is_array(ahead: Ahead) -> bool:
    """Return whether JSON begins with an array over several lines, or with an array of objects."""
    return re.match(rb"\[\s*(\{|$)", next(_written_lines(ahead), b"")) is not None


def _written_lines(ahead: Ahead) -> Iterator[bytes]:
    """Yield the lines that are not blank, without white space around them."""
    return filter(None, (line.removeprefix(_BOM).strip() for line in ahead.lines()))


def _require_text(name: str, ahead: Ahead) -> None:
    """Raise DataError when the input does not begin like UTF-8 text."""
    if kind := _by_magic(ahead, _KIND_MAGIC):
        hint = f"give it a name that ends in .{kind}"
        raise DataError(f"holds {kind} data, expected text", where=name, hint=hint)
    if found := _by_magic(ahead, _FOREIGN_MAGIC):
        hint = "unpack it, or export the text that is in it"
        raise DataError(f"is {found}, expected text", where=name, hint=hint)
    if code := _wide_encoding(next(ahead.lines(), b"")[:8]):
        hint = f"convert it with iconv -f {code} -t UTF-8"
        raise DataError(f"is {code} text, expected UTF-8", where=name, hint=hint)


def _wide_encoding(start: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 encoding of a text's beginning, by its byte order mark or by zeros in every
    other byte; else None.
    """
    if mark := next((mark for mark in _WIDE_MARKS if start.startswith(mark)), None):
        return _WIDE_MARKS[mark]
    even, odd = start[::2], start[1::2]
    if len(odd) > 1 and all(even) and not any(odd):
        return "UTF-16LE"
    return "UTF-16BE" if len(odd) > 1 and all(odd) and not any(even) else None


def _only_carriage_returns(ahead: Ahead) -> bool:
    """Return whether lines end in carriage returns only, so that the input has no line feed."""
    first = next(ahead.lines(), b"")
    return b"\r" in first and not first.endswith(b"\n")


def _decompress(raw: BinaryIO, compression: str) -> BinaryIO:
    """Return the decompressed stream; every reader here raises on a truncated stream, and reads joined
    members.
    """
    if compression == "zstd":
        import pyarrow as pa  # the zstandard package accepts a truncated file

        opened: object = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    elif compression == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif compression == "bz2":
        opened = bz2.BZ2File(raw)
    else:
        opened = lzma.LZMAFile(raw)  # noqa: SIM115 (closed with the stream it reads)
    return cast(BinaryIO, opened)


def _buffered(ahead: Ahead) -> BinaryIO:
    return io.BufferedReader(ahead, _BUFFER)


def _open_table(stream: Stream) -> Table:
    import pyarrow as pa

    if stream.kind != "parquet" and stream.ahead.beginning(6) != b"ARROW1":
        source = _LastRead(stream.file)
        reader = _arrow_errors(stream, lambda: pa.ipc.open_stream(source))

        def whole() -> Iterator[Any]:
            yield from reader
            if not source.last:
                raise DataError("is truncated: an arrow stream closes with an end mark", where=stream.name)
            if source.read(1):
                hint = "name one stream, or join them with pyarrow"
                what = "continues after the end mark of its arrow stream"
                raise DataError(what, where=stream.name, hint=hint)

        return Table(reader.schema, _batches(stream, whole))
    if not stream.file.seekable():
        raise DataError(
            f"{stream.kind} files are read from their end, which a pipe or zstd does not allow",
            where=stream.name,
            hint="name an uncompressed file",
        )
    if stream.kind == "parquet":
        from pyarrow import parquet

        file = _arrow_errors(stream, lambda: parquet.ParquetFile(stream.file))
        groups = range(stream.first_group, file.num_row_groups)
        rows = _batches(stream, lambda: file.iter_batches(batch_size=8192, row_groups=groups))
        group_rows = tuple(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
        return Table(file.schema_arrow, rows, group_rows)
    reader = _arrow_errors(stream, lambda: pa.ipc.open_file(stream.file))
    return Table(
        reader.schema, _batches(stream, lambda: map(reader.get_batch, range(reader.num_record_batches)))
    )


class _LastRead:
    """A file that remembers its last read, which is empty when a stream ended without its end mark."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.last = file, b""

    def read(self, size: int) -> bytes:
        self.last = self.file.read(size)
        return self.last

    def close(self) -> None:
        """Leave the file open; its opener closes it."""


def _batches(stream: Stream, start: Callable[[], Any]) -> Iterator[Any]:
    batches = _arrow_errors(stream, lambda: iter(start()))
    while (batch := _arrow_errors(stream, lambda: next(batches, None))) is not None:
        yield batch


def _arrow_errors(stream: Stream, read: Callable[[], Any]) -> Any:
    import pyarrow as pa

    with readable(stream.name):
        try:
            return read()
        except pa.ArrowException as error:
            raise DataError(f"is truncated, or not valid {stream.kind}: {error}", where=stream.name) from None
