"""Kinds of inputs: recognised by a name's extension or by the first bytes; binary data is not text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, cast

from embedkit.data.lookahead import Ahead
from embedkit.data.names import path_of
from embedkit.data.text.compression import COMPRESSIONS
from embedkit.data.text.lines import BOM
from embedkit.errors import DataError

InputKind = Literal["text", "jsonl", "csv", "tsv", "parquet", "arrow", "npy"]

EXTENSIONS: dict[str, InputKind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".arrow": "arrow", ".arrows": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".npy": "npy",
}  # fmt: skip
LINES: tuple[InputKind, ...] = ("text", "jsonl", "csv", "tsv")  # kinds that consist of lines

_MAGIC: dict[bytes, InputKind] = {
    b"\xff\xff\xff\xff": "arrow",
    b"ARROW1": "arrow",
    b"PAR1": "parquet",
    b"\x93NUMPY": "npy",
}
_FOREIGN_MAGIC = {b"PK\x03\x04": "a zip archive, as .xlsx and .docx files are", b"%PDF-": "a PDF document"}
_WIDE_MARKS = {  # ordered so that no mark is the beginning of a later one
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip

ARRAY_HINT = "write its elements as JSON lines, as jq -c '.[]' does"


def kind_of(name: str) -> InputKind | None:
    """Return the kind for a name's extension, or None; a compression extension after it is ignored."""
    path = path_of(name)
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return EXTENSIONS.get(path.suffix)


def sniffed_kind(ahead: Ahead) -> InputKind:
    """Return the kind of a stream without an extension from its first bytes: a JSON object on the first line
    that is not blank means JSONL.
    """
    if by_magic := ahead.first_match(_MAGIC):
        return cast(InputKind, by_magic)
    lines = _written_lines(ahead)
    start = next(lines, b"")
    if start == b"[":
        start += next(lines, b"")
    return "jsonl" if re.match(rb"\{|\[\s*\{", start) else "text"


def is_array(ahead: Ahead) -> bool:
    """Return whether JSON begins with an array over several lines, or with an array of objects."""
    return re.match(rb"\[\s*(\{|$)", next(_written_lines(ahead), b"")) is not None


def _written_lines(ahead: Ahead) -> Iterator[bytes]:
    """Yield the lines that are not blank, without white space around them."""
    return filter(None, (line.removeprefix(BOM).strip() for line in ahead.lines()))


def require_text(name: str, ahead: Ahead) -> None:
    """Raise DataError when the input does not begin like UTF-8 text."""
    if kind := ahead.first_match(_MAGIC):
        hint = f"give it a name that ends in .{kind}"
        raise DataError(f"holds {kind} data, expected text", where=name, hint=hint)
    if found := ahead.first_match(_FOREIGN_MAGIC):
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


def has_only_carriage_returns(ahead: Ahead) -> bool:
    """Return whether lines end in carriage returns only, so that the input has no line feed."""
    first = next(ahead.lines(), b"")
    return b"\r" in first and not first.endswith(b"\n")
