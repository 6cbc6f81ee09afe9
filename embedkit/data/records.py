"""Text in: every kind of input becomes records, one at a time, with the place known for errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from embedkit.data.streams import Kind, Stream, open_stream, readable
from embedkit.errors import DataError

ID_FIELDS = ("_id", "id")
_BOM = b"\xef\xbb\xbf"
_TABLE_ROWS = 1024  # rows of a parquet or arrow file that are turned into Python values at a time

Row = dict[str, Any]
RowParsers = Iterator[tuple[str, Callable[[], Row | None]]]


class Record(NamedTuple):
    """One passage: what is embedded, its name, and whatever else came with it."""

    id: str
    text: str
    fields: Row


@dataclass(frozen=True)
class TextFormat:
    """How inputs are read; None means: as the input itself says."""

    input_format: Kind | None = None
    id_field: str | None = None
    text_field: str | None = None
    on_error: Literal["stop", "skip"] = "stop"


class RecordReader:
    """The records of one or more open inputs, in order, with counts of what was passed over.

    Ids come from the id field; without one they are the line (or row) number, behind the input's name when
    there are several inputs; or where `number_from` was called, numbers that go on through all of them.
    """

    def __init__(
        self,
        streams: Iterable[Stream],
        format: TextFormat,
        *,
        names: Sequence[str] = (),
        size: int | None = None,
    ) -> None:
        self.format, self.name = format, ", ".join(names) or None
        self.read = self.blank = self.skipped = 0
        self.bytes_read, self.size = 0, size  # of the inputs as they are stored; size is None when unknown
        self._streams, self._several = streams, len(names) > 1
        self._first: int | None = None
        self._numbered = 0

    def number_from(self, first: int) -> None:
        """Give records without ids the numbers from `first` on."""
        self._first = first

    @property
    def first_number(self) -> int | None:
        """The number that `number_from` gave to the first record without an id; None when there was none."""
        return self._first if self._numbered else None

    def __iter__(self) -> Iterator[Record]:
        done = 0
        for stream in self._streams:
            name = stream.name.encode("utf-8", "backslashreplace").decode()  # a path may be any bytes
            prefix = f"{name}:" if self._several else ""
            with readable(stream.name):
                for record in self._records(stream, prefix):
                    self.read += 1
                    if self.read & 255 == 0:
                        self.bytes_read = done + stream.tell()
                    yield record
            done += stream.size or 0
            self.bytes_read = done

    def _records(self, stream: Stream, prefix: str) -> Iterator[Record]:
        composed = stream.kind in ("parquet", "arrow") and "vector" in stream.table.schema.names
        for number, (place, parse) in enumerate(row_parsers(stream), stream.rows_before + 1):
            try:
                row = parse()
                if row is None:
                    self.blank += 1
                    continue
                record = self._record(row, f"{prefix}{number}", composed)
            except (DataError, ValueError, OverflowError) as error:
                if self.format.on_error == "skip":
                    self.skipped += 1
                    continue
                what = error.what if isinstance(error, DataError) else str(error)
                hint = getattr(error, "hint", None) or "--on-error skip passes over such records"
                raise DataError(what, where=place, hint=hint) from None
            yield record

    def _record(self, row: Row, default_id: str, composed: bool) -> Record:
        """Take a row apart; the text of a `composed` one, which comes with a vector, has its title in it
        already.
        """
        fields = dict(row)
        if isinstance(fields.get("vector"), list):
            composed = fields.pop("vector") is not None
        return Record(self._take_id(fields, default_id), self._take_text(fields, composed), fields)

    def _take_id(self, fields: Row, default: str) -> str:
        candidates = (name for name in ID_FIELDS if name in fields and name != self.format.text_field)
        name = self.format.id_field or next(candidates, None)
        if name is None:
            return self._number(default)
        if name not in fields:
            raise DataError(f"has no id field {name!r}", hint=_columns(fields))
        value = fields.pop(name)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise DataError(
                f"field {name!r} is {_json_type(value)}", hint="an id is text or a whole number of 64 bits"
            )
        return str(value)

    def _number(self, default: str) -> str:
        if self._first is None:
            return default
        self._numbered += 1
        return str(self._first + self._numbered - 1)

    def _take_text(self, fields: Row, composed: bool) -> str:
        """Remove the text from the fields and return it; BEIR's title goes before the text, and stays a
        field.
        """
        name = self.format.text_field
        if name is None:
            name = "text" if "text" in fields or len(fields) != 1 else next(iter(fields))
        if name not in fields:
            raise DataError(
                f"has no text field {name!r}", hint=f"{_columns(fields)}; --text-field names another"
            )
        text = fields.pop(name)
        if not isinstance(text, str):
            raise DataError(f"field {name!r} is not text but {_json_type(text)}")
        title = None if composed or self.format.text_field else fields.get("title")
        return f"{title} {text}".strip() if isinstance(title, str) and title else text


def open_records(names: Sequence[str], format: TextFormat = TextFormat()) -> RecordReader:
    """Read records from paths, URLs or `-`.

    >>> for record in open_records(["corpus.jsonl"]): print(record.id, record.text)
    """

    def streams() -> Iterator[Stream]:
        for name in names:
            with open_stream(name, format.input_format) as stream:
                yield stream

    return RecordReader(streams(), format, names=names)


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
    for place, row in _tsv_cells(stream) if stream.kind == "tsv" else _csv_cells(stream):
        if header is not None:
            yield place, lambda row=row, header=header: _csv_row(header, row, whose)  # type: ignore[misc]
        elif isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        elif row:
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
            row = _json_row(line)
        except DataError as error:
            raise DataError(error.what, where=place) from None
        if row is not None:
            yield place, row


def cell_rows(stream: Stream) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row of CSV (quoting as in RFC 4180) or, of any other kind, of
    lines split at tabs; raises DataError naming the line that is not.
    """
    for place, row in _csv_cells(stream) if stream.kind == "csv" else _tsv_cells(stream):
        if isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        try:
            cells = [_decode(_undecoded(cell)) for cell in row]
        except DataError as error:
            raise DataError(error.what, where=place) from None
        if cells:
            yield place, cells


def _lines(stream: Stream) -> Iterator[tuple[str, bytes]]:
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
        raise DataError(f"is {_json_type(value)}, not a JSON object")
    return value


def _json_type(value: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a decimal number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _check_columns(names: list[str], place: str) -> None:
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"has more than one column {', '.join(map(repr, sorted(repeated)))}", where=place)
    for name in names:
        try:
            _decode(_undecoded(name))
        except DataError as error:
            raise DataError(f"the header {error.what}", where=place) from None


def _tsv_cells(stream: Stream) -> Iterator[tuple[str, list[str] | csv.Error]]:
    for place, line in _lines(stream):
        text = _loosely_decoded(line).rstrip("\r\n")
        yield place, text.split("\t") if text else []


def _csv_cells(stream: Stream) -> Iterator[tuple[str, list[str] | csv.Error]]:
    csv.field_size_limit(2**31 - 1)  # characters
    rows = csv.reader((_loosely_decoded(line) for _, line in _lines(stream)), strict=True)
    while True:
        place = f"{stream.name}:{rows.line_num + 1}"
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


def _columns(fields: Row) -> str:
    return f"it has {', '.join(fields) or 'nothing'}"
