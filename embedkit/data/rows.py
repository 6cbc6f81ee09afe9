"""Rows of every kind of text file: lines, JSON objects, cells, one at a time, each with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from embedkit.data.streams import Stream
from embedkit.errors import DataError

_BOM = b"\xef\xbb\xbf"
_TABLE_ROWS = 1024  # rows of a parquet or arrow file that are turned into Python values at a time

Row = dict[str, Any]
RowParsers = Iterator[tuple[str, Callable[[], Row | None]]]
Lines = Iterator[tuple[str, bytes]]  # each with its place
Cells = Iterator[tuple[str, list[str] | csv.Error]]


def row_parsers(stream: Stream, header: list[str] | None = None) -> RowParsers:
    """Yield the place of each row and a function that parses it, None for a blank line, so that one faulty
    row can be passed over and the next one read; `header` names the cells of CSV or TSV that has none.
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
    header, whose = names, "a row wants" if names else "the header has"
    for place, row in _cells(_lines(stream), stream):
        if header is not None:
            yield place, lambda row=row, header=header: _csv_row(header, row, whose)  # type: ignore[misc]
        elif isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        elif any(map(str.strip, row)):
            header = row
            _check_columns(header, place)


def _table_parsers(stream: Stream) -> RowParsers:
    number = stream.rows_before
    for batch in stream.table.batches:
        _check_columns(batch.schema.names, stream.name)
        names = [name for name in batch.schema.names if name != "vector"]
        json_names = [
            field.name for field in batch.schema if (field.metadata or {}).get(b"embedkit") == b"json"
        ]
        for start in range(0, batch.num_rows, _TABLE_ROWS):
            for row in _python_rows(batch.select(names).slice(start, _TABLE_ROWS)):
                number += 1
                yield f"{stream.name}:{number}", _json_cells(row, json_names)


def json_rows(file: Iterable[bytes], name: str) -> Iterator[tuple[str, Row]]:
    """Yield the place and the object of each line of JSONL; raises DataError naming the line that is none."""
    for number, line in enumerate(file, 1):
        place = f"{name}:{number}"
        try:
            row = _json_row(line.removeprefix(_BOM) if number == 1 else line)
        except DataError as error:
            raise DataError(error.what, where=place) from None
        if row is not None:
            yield place, row


def cell_rows(stream: Stream) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row of CSV (quoting as in RFC 4180) or, of any other kind, of
    lines split at tabs; raises DataError naming the line that is not.
    """
    yield from _checked_cells(_cells(_lines(stream), stream))


def header_of(stream: Stream) -> list[str]:
    """Return the first cells of CSV or TSV, which are left to be read; none where all lines are blank."""
    lines = ((f"{stream.name}:{number}", line) for number, line in stream.lines_ahead())
    rows = (cells for _, cells in _checked_cells(_cells(lines, stream)))
    return next((cells for cells in rows if any(map(str.strip, cells))), [])


def first_object(stream: Stream) -> Row | None:
    """Return the first object of JSONL, which is left to be read; None where all lines are blank.

    Raises DataError naming the line when it is none.
    """
    number, line = stream.first_line()
    try:
        return _json_row(line)
    except DataError as error:
        raise DataError(error.what, where=f"{stream.name}:{number}", hint=error.hint) from None


def json_type(value: Any) -> str:
    """Return what a value of JSON is, in words."""
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
        raise DataError(f"is not UTF-8 (byte {error.start + 1})") from None


def _text_row(line: bytes) -> Row | None:
    text = _decode(line).rstrip("\r\n")
    return {"text": text} if text.strip() else None


def _json_row(line: bytes) -> Row | None:
    if not line.strip():
        return None
    _decode(line)
    try:
        value = orjson.loads(line.rstrip())
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error.msg} (column {error.colno})") from None
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise DataError(f"is {json_type(value)}, not a JSON object")
    return value


def _check_columns(names: list[str], place: str) -> None:
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"has more than one column {', '.join(map(repr, sorted(repeated)))}", where=place)
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
            raise DataError(error.what, where=place) from None
        if cells:
            yield place, cells


def _cells(lines: Lines, stream: Stream) -> Cells:
    return _csv_cells(lines, stream.name) if stream.kind == "csv" else _tsv_cells(lines)


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
            if "unexpected end" in str(error):  # the rest of the file was taken into one cell: never skipped
                raise DataError("a quote that opens here is never closed", where=place) from None
            yield place, error
            continue
        if row is None:
            return
        yield place, row


def _loosely_decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")  # a cell that is not UTF-8 spoils its own row only


def _undecoded(cell: str) -> bytes:
    return cell.encode("utf-8", "surrogateescape")


def _python_rows(batch: Any) -> Iterator[Callable[[], Row]]:
    """Yield a function for each row of a batch; values that Python cannot hold fail in the one for their
    row.
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
    """Read cells of JSON text, as `tables` writes them, back to the values they were."""

    def read() -> Row:
        values = row()
        return values | {name: json.loads(values[name]) for name in names if values[name] is not None}

    return read if names else row


def _csv_row(header: list[str], row: list[str] | csv.Error, whose: str) -> Row | None:
    if isinstance(row, csv.Error):
        raise DataError(f"is not CSV: {row}")
    if not row:
        return None
    if len(row) != len(header):
        raise DataError(f"has {len(row)} cells, {whose} {len(header)}")
    for cell in row:
        if not cell.isascii():
            _decode(_undecoded(cell))
    return dict(zip(header, row, strict=True))
