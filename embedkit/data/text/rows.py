"""Rows of every kind of text file (lines, JSON objects, cells), one at a time, each with its place."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice, zip_longest
from typing import Any

import orjson

from embedkit.data.text.streams import ARRAY_HINT, Stream, require_distinct
from embedkit.data.vectors.columns import VECTOR, has_vectors
from embedkit.errors import DataError

_BOM = b"\xef\xbb\xbf"
_TABLE_ROWS = 1024  # parquet or arrow rows converted to Python values at a time

MAX_DEPTH = 48  # levels; Parquet's reader fails at 50 nested lists, orjson's writer at 255
_LARGE = float(2**63)
_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")  # characters that end a sentence
_NAME = re.compile(rb'"\s*:')  # the end of a name in an object, or of a quotation in a text

Row = dict[str, Any]
RowParsers = Iterator[tuple[str, Callable[[], Row | None]]]
Lines = Iterator[tuple[str, bytes]]  # (place, line)
Cells = Iterator[tuple[str, list[str] | csv.Error]]


def row_parsers(stream: Stream, header: list[str] | None = None) -> RowParsers:
    """Yield the place of each row and a function that parses it, or returns None for a blank line.

    A faulty row can thus be skipped and the next one read. `header` names the cells of CSV or TSV without a
    header.
    """
    if stream.kind in ("csv", "tsv"):
        return _csv_parsers(stream, header)
    parsers = {
        "text": _text_parsers, "jsonl": _json_parsers, "parquet": _table_parsers, "arrow": _table_parsers,
    }  # fmt: skip
    if stream.kind not in parsers:
        raise DataError(f"holds {stream.kind} data, not text", where=stream.name)
    return parsers[stream.kind](stream)


def _text_parsers(stream: Stream) -> RowParsers:
    for place, line in _lines(stream):
        yield place, lambda line=line: _text_row(line)  # type: ignore[misc]


def _json_parsers(stream: Stream) -> RowParsers:
    for place, line in _lines(stream):
        yield place, lambda line=line: _json_row(line)  # type: ignore[misc]


def _csv_parsers(stream: Stream, names: list[str] | None) -> RowParsers:
    header, whose = names, "expected" if names else "the header has"
    for place, row in _cells(_lines(stream), stream):
        if header is not None:
            yield place, lambda row=row, header=header: _csv_row(header, row, whose)  # type: ignore[misc]
        elif isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        elif any(map(str.strip, row)):
            header = row
            _check_columns(header, place)
            if VECTOR in header:
                what = f"has a column {VECTOR!r}, and vectors are not read from {stream.kind.upper()}"
                hint = "convert the file to JSON lines or Parquet, or rename the column"
                raise DataError(what, where=place, hint=hint)


def _table_parsers(stream: Stream) -> RowParsers:
    number = stream.rows_before
    for batch in stream.table.batches:
        has_vectors(batch.schema, where=stream.name)  # refuses a malformed `vector`, which would be lost
        names = [name for name in batch.schema.names if name != VECTOR]
        json_names = [
            field.name for field in batch.schema if (field.metadata or {}).get(b"embedkit") == b"json"
        ]
        for start in range(0, batch.num_rows, _TABLE_ROWS):
            for row in _python_rows(batch.select(names).slice(start, _TABLE_ROWS)):
                number += 1
                yield f"{stream.name}:{number}", _json_cells(row, json_names)


def json_rows(file: Iterable[bytes], name: str) -> Iterator[tuple[str, Row]]:
    """Yield the place and the object of each line of JSONL; raises DataError naming a line that is not an
    object.
    """
    for number, line in enumerate(file, 1):
        place = f"{name}:{number}"
        try:
            row = _json_row(line.removeprefix(_BOM) if number == 1 else line)
        except DataError as error:
            raise DataError(error.what, where=place, hint=error.hint) from None
        if row is not None:
            yield place, row


def cell_rows(stream: Stream) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row of CSV (quoting as in RFC 4180) or, for any other kind, of
    lines split at tabs; raises DataError naming an invalid line.
    """
    yield from _checked_cells(_cells(_lines(stream), stream))


def header_of(stream: Stream) -> list[str]:
    """Return the first row of CSV or TSV without consuming it; an empty list when all lines are blank."""
    rows = (cells for _, cells in _checked_cells(_cells(_lines_ahead(stream), stream)))
    return next((cells for cells in rows if any(map(str.strip, cells))), [])


def require_header(stream: Stream) -> None:
    """Raise DataError when the first row of CSV or TSV seems to be data, or CSV seems to have another
    separator.

    The row seems to be data when it names no `text` and no id, and one of several cells is a number, or a
    cell is a sentence about as long as the texts of its column in the next rows.
    """
    cells = _cells(_lines_ahead(stream), stream)
    rows = ((place, row) for place, row in cells if isinstance(row, list) and any(row))
    place, header = next(rows, ("", []))
    if {"text", "_id", "id"}.intersection(header):
        return
    others = [row for _, row in islice(rows, 8)]
    if stream.kind == "csv" and (separator := _other_separator([header, *others])):
        hint = "set `input_format=tsv`" if separator == "\t" else "write it with commas"
        raise DataError(f"seems to be separated by {separator!r}, expected commas", where=place, hint=hint)
    columns = list(zip_longest(*others, fillvalue=""))
    numbers = [cell for cell in header if len(header) > 1 and _is_number(cell)]
    texts = [cell for cell, column in zip(header, columns, strict=False) if _is_like(cell, column)]
    for cell in [*texts, *numbers]:
        what = f"the first line must name the columns, and {cell!r:.60} seems to be data"
        hint = "put a line of names such as text in front; if it is a name, set it as `text_field`"
        raise DataError(what, where=place, hint=hint)


def _other_separator(rows: list[list[str]]) -> str | None:
    """Return the separator that occurs equally often in all rows, each of one cell; None when no separator
    does.
    """
    for separator in "\t;|":
        counts = {row[0].count(separator) for row in rows if len(row) == 1}
        if len(rows) > 1 and all(len(row) == 1 for row in rows) and len(counts) == 1 and counts != {0}:
            return separator
    return None


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        return math.isfinite(float(cell))
    return False


def _is_like(cell: str, texts: Iterable[str]) -> bool:
    """Return whether a cell is a sentence, at least half as long as the median of some texts."""
    lengths = sorted(map(len, filter(None, texts)))
    is_sentence = cell.count(" ") >= 3 or cell.endswith(_ENDS) or re.search("[\u2e80-\uffff]{8}", cell)
    return bool(lengths and is_sentence) and 2 * len(cell) >= lengths[len(lengths) // 2]


def first_object(stream: Stream) -> Row | None:
    """Return the first object of JSONL without consuming it; None when all lines are blank.

    Raises DataError naming the line when it is not an object.
    """
    number, line = stream.first_line()
    try:
        return _json_row(line)
    except DataError as error:
        raise DataError(error.what, where=f"{stream.name}:{number}", hint=error.hint) from None


def has_vectors_beside(stream: Stream) -> bool:
    """Return whether the rows of an input have vectors, by the schema or the first object of JSONL."""
    if stream.kind in ("parquet", "arrow"):
        return VECTOR in stream.table.schema.names
    with suppress(DataError):  # a faulty line is reported when it is read
        return stream.kind == "jsonl" and (first_object(stream) or {}).get(VECTOR) is not None
    return False


def json_type(value: Any) -> str:
    """Return the type of a JSON value, in words."""
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a decimal number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _lines(stream: Stream) -> Lines:
    for number, line in enumerate(stream.file, stream.rows_before + 1):
        yield f"{stream.name}:{number}", line.removeprefix(_BOM) if number == 1 else line


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "convert the file from its own encoding, as iconv -f LATIN1 -t UTF-8 does"
        raise DataError(f"is not UTF-8 (byte {error.start + 1})", hint=hint) from None


def _text_row(line: bytes) -> Row | None:
    text = _decode(line).rstrip("\r\n")
    _require_more_than_nul(text)
    return {"text": text} if text.strip() else None


def _require_more_than_nul(text: str) -> None:
    """Raise DataError for a text of NUL characters only, which a crash leaves at the end of a file."""
    if text.startswith("\0") and not text.strip("\0"):
        hint = "the end of the file may be damaged"
        raise DataError("contains only NUL characters, expected text", hint=hint)


def _json_row(line: bytes) -> Row | None:
    if not line.strip():
        return None
    text = _decode(line)
    try:
        value = orjson.loads(line.rstrip())
    except orjson.JSONDecodeError as error:
        what = f"is not JSON: {error.msg} (column {error.colno})"
        raise DataError(what, hint=_json_hint(line.strip())) from None
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise DataError(f"is {json_type(value)}, not a JSON object", hint=_json_hint(line.strip()))
    names, depth, exact = _survey(value)
    if depth > MAX_DEPTH:
        hint = "write deeper values as text"
        raise DataError(f"is nested {depth} levels deep, expected at most {MAX_DEPTH}", hint=hint)
    if not exact or len(_NAME.findall(line)) > names:
        json.loads(text, object_pairs_hook=_named_once, parse_int=_of_64_bits)
    return value


def _json_hint(line: bytes) -> str | None:
    if line.startswith(b"["):
        return ARRAY_HINT
    if line == b"{":
        return "write each object on one line, as jq -c . does"
    return "JSON has neither NaN nor Infinity; write null" if b"NaN" in line or b"Infinity" in line else None


def _survey(row: Row) -> tuple[int, int, bool]:
    """Return how many names the objects in a row have, how deep it is nested, and whether all its numbers
    were read exactly: orjson reads a whole number beyond 64 bits as a float.
    """
    names, depth, exact = 0, 0, True
    level: list[Any] = [row]
    while level:
        depth += 1
        within: list[Any] = []
        for each in level:
            if type(each) is dict:
                names += len(each)
                each = each.values()
            for value in each:
                kind = type(value)
                if kind is dict or (kind is list and value and value is not row.get(VECTOR)):
                    within.append(value)
                elif kind is float and not -_LARGE < value < _LARGE:
                    exact = False
        level = within
    return names, depth, exact


def _named_once(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"has the field {repeated!r} more than once", hint="keep one of them")
    return row


def _of_64_bits(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**64:
        raise DataError(f"has the number {digits:.40}, which exceeds 64 bits", hint="write it as text")
    return number


def _check_columns(names: list[str], place: str) -> None:
    require_distinct(names, place)
    for name in names:
        try:
            _decode(_undecoded(name))
        except DataError as error:
            raise DataError(f"the header {error.what}", where=place) from None


def _checked_cells(rows: Cells) -> Iterator[tuple[str, list[str]]]:
    for place, row in rows:
        if isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        try:
            cells = [_decode(_undecoded(cell)) for cell in row]
        except DataError as error:
            raise DataError(error.what, where=place, hint=error.hint) from None
        if cells:
            yield place, cells


def _cells(lines: Lines, stream: Stream) -> Cells:
    return _csv_cells(lines, stream.name) if stream.kind == "csv" else _tsv_cells(lines)


def _lines_ahead(stream: Stream) -> Lines:
    return ((f"{stream.name}:{number}", line) for number, line in stream.lines_ahead())


def _tsv_cells(lines: Lines) -> Cells:
    for place, line in lines:
        text = _loosely_decoded(line).rstrip("\r\n")
        yield place, text.split("\t") if text else []


def _csv_cells(lines: Lines, name: str) -> Cells:
    csv.field_size_limit(2**31 - 1)  # characters
    rows = csv.reader((_loosely_decoded(line) for _, line in lines), strict=True)
    while True:
        place = f"{name}:{rows.line_num + 1}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end" in str(error):  # the cell took the rest of the file: never skipped
                raise DataError("a quote that opens here is never closed", where=place) from None
            yield place, error
            continue
        if row is None:
            return
        yield place, row


def _loosely_decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")  # bytes that are not UTF-8 fail in their own row


def _undecoded(cell: str) -> bytes:
    return cell.encode("utf-8", "surrogateescape")


def _python_rows(batch: Any) -> Iterator[Callable[[], Row]]:
    """Yield a function per row of a batch; only the function of its own row fails for a value that Python
    cannot hold.
    """
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):
        yield from (
            lambda number=number: batch.slice(number, 1).to_pylist()[0] for number in range(batch.num_rows)
        )
    else:
        yield from (lambda row=row: row for row in rows)


def _json_cells(row: Callable[[], Row], names: list[str]) -> Callable[[], Row]:
    """Return the function `row` with cells of JSON text, as `tables` writes them, decoded."""

    def read() -> Row:
        values = row()
        return values | {name: json.loads(values[name]) for name in names if values[name] is not None}

    return read if names else row


def _csv_row(header: list[str], row: list[str] | csv.Error, whose: str) -> Row | None:
    if isinstance(row, csv.Error):
        raise DataError(f"is not CSV: {row}")
    if not row:
        return None
    if len(row) == 1:
        _require_more_than_nul(row[0])
    if len(row) != len(header):
        raise DataError(f"has {len(row)} cells, {whose} {len(header)}")
    for cell in row:
        if not cell.isascii():
            _decode(_undecoded(cell))
    return dict(zip(header, row, strict=True))
