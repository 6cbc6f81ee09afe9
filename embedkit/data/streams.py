"""Bytes in: a path, `-` or a URL becomes an open stream, decompressed, with its kind known and its position readable."""

import bz2
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast, get_args

from embedkit.errors import DataError, EmbedkitError, MissingPackageError

Kind = Literal["text", "jsonl", "csv", "tsv", "parquet", "arrow", "npy"]
KINDS: tuple[str, ...] = get_args(Kind)

EXTENSIONS: dict[str, Kind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".arrow": "arrow", ".arrows": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".npy": "npy",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}

_COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_KIND_MAGIC: dict[bytes, Kind] = {b"\xff\xff\xff\xff": "arrow", b"ARROW1": "arrow", b"PAR1": "parquet", b"\x93NUMPY": "npy"}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


class Stream(NamedTuple):
    """An open input: `file` gives the decompressed bytes, `raw` is what is really read (for progress)."""

    name: str  # as named by the user; "-" for standard input
    kind: Kind
    file: BinaryIO
    raw: BinaryIO
    size: int | None  # bytes of `raw` when known


def kind_of(name: str) -> Kind | None:
    """Return the kind that a name's extension says, or None; a compression ending is looked through."""
    path = Path(name.split("?")[0].lower())
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return EXTENSIONS.get(path.suffix)


def is_url(name: str) -> bool:
    """Say whether a name is a URL for fsspec rather than a path."""
    return "://" in name


@contextmanager
def open_stream(name: str, kind: Kind | None = None) -> Iterator[Stream]:
    """Open `name` for reading; `kind` settles what it holds, else its extension or its first bytes do.

    Raises DataError in one line for what is missing, a folder, unreadable, or badly compressed.
    """
    with ExitStack() as stack:
        with readable(name):
            raw = stack.enter_context(_open_raw(name))
            suffix = Path(name.split("?")[0].lower()).suffix
            compression = COMPRESSIONS.get(suffix) or _by_magic(_peek(raw), _COMPRESSION_MAGIC)
            file = _decompress(raw, compression) if compression else raw
            if not hasattr(file, "peek"):
                file = _buffered(file)
            stream = Stream(name, kind or kind_of(name) or _sniff(file), file, raw, _size(raw))
        yield stream


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn whatever goes wrong while `name` is read into one DataError that names it; put around reads only."""
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
        with open(name, "rb", buffering=1 << 20) as file:
            yield file


@contextmanager
def _open_url(name: str) -> Iterator[BinaryIO]:
    import fsspec

    try:
        opened = fsspec.open(name, "rb")
    except ValueError as error:
        raise DataError(str(error), where=name) from None
    except ImportError as error:
        raise MissingPackageError(str(error.name or error), extra="all", needed_for=f"reading {name}") from None
    with opened as file:
        yield file


def _size(raw: BinaryIO) -> int | None:
    try:
        return os.fstat(raw.fileno()).st_size or None
    except (OSError, AttributeError, io.UnsupportedOperation):
        return cast("int | None", getattr(raw, "size", None))


def _peek(file: BinaryIO) -> bytes:
    """Look at the first bytes without consuming them."""
    if hasattr(file, "peek"):
        return cast(bytes, file.peek(16)[:16])
    if file.seekable():
        head = file.read(16)
        file.seek(0)
        return head
    return b""


def _by_magic(head: bytes, table: dict[bytes, str]) -> str | None:
    return next((name for magic, name in table.items() if head.startswith(magic)), None)


def _sniff(file: BinaryIO) -> Kind:
    """Tell the kind of a nameless stream from its first bytes: a JSON object on the first line means JSONL."""
    head = cast(bytes, file.peek(64))  # type: ignore[attr-defined]
    by_magic = _by_magic(head, cast("dict[bytes, str]", _KIND_MAGIC))
    if by_magic:
        return cast(Kind, by_magic)
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" else "text"


def _decompress(raw: BinaryIO, compression: str) -> BinaryIO:
    """Undo a compression; every reader here raises on a stream that was cut short, and reads joined members."""
    if compression == "zstd":
        import pyarrow as pa  # the zstandard package takes a truncated file for a whole one

        opened: object = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    elif compression == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif compression == "bz2":
        opened = bz2.BZ2File(raw)
    else:
        opened = lzma.LZMAFile(raw)
    return _buffered(opened)


def _buffered(file: object) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, file), 1 << 20))
