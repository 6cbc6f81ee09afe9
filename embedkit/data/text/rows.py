"""Rows of every kind of text file (lines, JSON objects, cells), one at a time, each with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from embedkit.data.text.csv_cells import cells_of, check_columns, named_cells
from embedkit.data.text.json_lines import Row, first_object, json_row
from embedkit.data.text.lines import decoded, require_more_than_nul
from embedkit.data.text.streams import Stream
from embedkit.data.vectors.columns import VECTOR, has_vectors
from embedkit.data.vectors.json_columns import is_json
from embedkit.errors import DataError

_TABLE_ROWS = 1024  # parquet or arrow rows converted to Python values at a time

RowParsers = Iterator[tuple[str, Callable[[], Row | None]]]


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
    for number, line in stream.lines():
        yield f"{stream.name}:{number}", lambda line=line: _text_row(line)  # type: ignore[misc]


def _text_row(line: bytes) -> Row | None:
    text = decoded(line).rstrip("\r\n")
    require_more_than_nul(text)
    return {"text": text} if text.strip() else None


def _json_parsers(stream: Stream) -> RowParsers:
    for number, line in stream.lines():
        yield f"{stream.name}:{number}", lambda line=line: json_row(line)  # type: ignore[misc]


def _csv_parsers(stream: Stream, names: list[str] | None) -> RowParsers:
    header, whose = names, "expected" if names else "the header has"
    for place, row in cells_of(stream):
        if header is not None:
            yield place, lambda row=row, header=header: named_cells(header, row, whose)  # type: ignore[misc]
        elif isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        elif any(map(str.strip, row)):
            header = row
            check_columns(header, place)
            if VECTOR in header:
                what = f"has a column {VECTOR!r}, and vectors are not read from {stream.kind.upper()}"
                hint = "convert the file to JSON lines or Parquet, or rename the column"
                raise DataError(what, where=place, hint=hint)


def _table_parsers(stream: Stream) -> RowParsers:
    number = stream.rows_before
    for batch in stream.table.batches:
        has_vectors(batch.schema, where=stream.name)  # refuses a malformed `vector`, which would be lost
        names = [name for name in batch.schema.names if name != VECTOR]
        json_names = [field.name for field in batch.schema if is_json(field)]
        for start in range(0, batch.num_rows, _TABLE_ROWS):
            for row in _python_rows(batch.select(names).slice(start, _TABLE_ROWS)):
                number += 1
                yield f"{stream.name}:{number}", _json_cells(row, json_names)


def has_vectors_beside(stream: Stream) -> bool:
    """Return whether the rows of an input have vectors, by the schema or the first object of JSONL."""
    if stream.kind in ("parquet", "arrow"):
        return VECTOR in stream.table.schema.names
    with suppress(DataError):  # a faulty line is reported when it is read
        return stream.kind == "jsonl" and (first_object(stream) or {}).get(VECTOR) is not None
    return False


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
        """Return the row with its JSON text decoded."""
        values = row()
        return values | {name: json.loads(values[name]) for name in names if values[name] is not None}

    return read if names else row
