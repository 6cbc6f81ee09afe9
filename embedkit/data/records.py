"""Text in: every kind of input becomes records, one at a time, with the place known for errors."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import orjson

from embedkit.data.streams import Kind, Stream, open_stream, readable
from embedkit.errors import DataError

ID_FIELDS = ("_id", "id")
_BOM = b"\xef\xbb\xbf"
_TABLE_ROWS = 1024  # rows of a parquet or arrow file that are turned into Python values at a time

Row = dict[str, Any]


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

    Ids come from the id field; without one they are the line (or row) number, behind the input's name when there are
    several inputs.
    """

    def __init__(self, streams: Iterable[Stream], format: TextFormat, *, several: bool = False) -> None:
        self.format = format
        self.read = self.blank = self.skipped = 0
        self.bytes_read = 0
        self._streams, self._several = streams, several

    def __iter__(self) -> Iterator[Record]:
        done = 0
        for stream in self._streams:
            prefix = f"{stream.name}:" if self._several else ""
            with readable(stream.name):
                for record in self._records(stream, prefix):
                    self.read += 1
                    if self.read & 255 == 0:
                        self.bytes_read = done + _tell(stream)
                    yield record
            done += stream.size or 0
            self.bytes_read = done

    def _records(self, stream: Stream, prefix: str) -> Iterator[Record]:
        readers: dict[str, Callable[[Stream], Iterator[tuple[str, Callable[[], Row | None]]]]] = {
            "text": self._text, "jsonl": self._jsonl, "csv": self._csv, "tsv": self._csv,
            "parquet": self._table, "arrow": self._table,
        }  # fmt: skip
        if stream.kind not in readers:
            raise DataError(f"holds {stream.kind} data, not text", where=stream.name)
        for number, (place, parse) in enumerate(readers[stream.kind](stream), 1):
            try:
                row = parse()
                if row is None:
                    self.blank += 1
                    continue
                record = self._record(row, f"{prefix}{number}")
            except (DataError, ValueError) as error:
                if self.format.on_error == "skip":
                    self.skipped += 1
                    continue
                what = error.what if isinstance(error, DataError) else str(error)
                hint = getattr(error, "hint", None) or "--on-error skip passes over such records"
                raise DataError(what, where=place, hint=hint) from None
            yield record

    def _record(self, row: Row, default_id: str) -> Record:
        fields = dict(row)
        return Record(self._take_id(fields, default_id), self._take_text(fields), fields)

    def _take_id(self, fields: Row, default: str) -> str:
        name = self.format.id_field or next((name for name in ID_FIELDS if name in fields), None)
        if name is None:
            return default
        if fields.get(name) is None:
            raise DataError(f"has no id field {name!r}", hint=_columns(fields))
        return str(fields.pop(name))

    def _take_text(self, fields: Row) -> str:
        """Remove the text from the fields and return it; BEIR's title goes before the text, and stays a field."""
        name = self.format.text_field
        if name is None:
            name = "text" if "text" in fields or len(fields) != 1 else next(iter(fields))
        text = fields.get(name)
        if text is None:
            raise DataError(f"has no text field {name!r}", hint=f"{_columns(fields)}; --text-field names another")
        if not isinstance(text, str):
            raise DataError(f"field {name!r} is not text but {type(text).__name__}")
        del fields[name]
        title = fields.get("title") if self.format.text_field is None else None
        return f"{title} {text}".strip() if isinstance(title, str) and title else text

    # Each kind yields a place for errors and a function that parses the row there (None for a blank line), so that
    # one faulty row can be passed over and the next one read.

    def _text(self, stream: Stream) -> Iterator[tuple[str, Callable[[], Row | None]]]:
        for place, line in _lines(stream):
            yield place, lambda line=line: _text_row(line)  # type: ignore[misc]

    def _jsonl(self, stream: Stream) -> Iterator[tuple[str, Callable[[], Row | None]]]:
        for place, line in _lines(stream):
            yield place, lambda line=line: _json_row(line)  # type: ignore[misc]

    def _csv(self, stream: Stream) -> Iterator[tuple[str, Callable[[], Row | None]]]:
        csv.field_size_limit(sys.maxsize)
        lines = (line.decode("utf-8", "surrogateescape") for _, line in _lines(stream))
        if stream.kind == "tsv":
            rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            rows = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            place = f"{stream.name}:{rows.line_num + 1}"
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise DataError(str(error), where=place) from None
            if row is None:
                return
            if header is None:
                header = row
                _check_header(header, place)
            else:
                yield place, lambda row=row, header=header: _csv_row(header, row)  # type: ignore[misc]

    def _table(self, stream: Stream) -> Iterator[tuple[str, Callable[[], Row | None]]]:
        number = 0
        for batch in table_batches(stream):
            names = [name for name in batch.schema.names if name != "vector"]
            for start in range(0, batch.num_rows, _TABLE_ROWS):
                for row in batch.select(names).slice(start, _TABLE_ROWS).to_pylist():
                    number += 1
                    yield f"{stream.name}:{number}", lambda row=row: cast(Row, row)  # type: ignore[misc]


def table_batches(stream: Stream) -> Iterator[Any]:
    """Yield the record batches of an open parquet or arrow (file or stream) input."""
    import pyarrow as pa

    try:
        if stream.kind == "parquet":
            from pyarrow import parquet

            yield from parquet.ParquetFile(_seekable(stream)).iter_batches(batch_size=8192)
        elif stream.file.peek(6)[:6] == b"ARROW1":  # type: ignore[attr-defined]
            reader = pa.ipc.open_file(_seekable(stream))
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            yield from pa.ipc.open_stream(stream.file)
    except pa.ArrowException as error:
        raise DataError(f"is not a whole {stream.kind} file: {error}", where=stream.name) from None


def table_schema(stream: Stream) -> Any:
    """Return the Arrow schema of an open parquet or arrow file; the stream is left at its start."""
    import pyarrow as pa

    try:
        if stream.kind == "parquet":
            from pyarrow import parquet

            schema = parquet.read_schema(_seekable(stream))
        else:
            schema = pa.ipc.open_file(_seekable(stream)).schema
    except pa.ArrowException as error:
        raise DataError(f"is not a whole {stream.kind} file: {error}", where=stream.name) from None
    stream.file.seek(0)
    return schema


def open_records(names: Sequence[str], format: TextFormat = TextFormat()) -> RecordReader:  # noqa: B008 (frozen)
    """Read records from paths, URLs or `-`.

    >>> for record in open_records(["corpus.jsonl"]): print(record.id, record.text)
    """

    def streams() -> Iterator[Stream]:
        for name in names:
            with open_stream(name, format.input_format) as stream:
                yield stream

    return RecordReader(streams(), format, several=len(names) > 1)


def _lines(stream: Stream) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(stream.file, 1):
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
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error.msg} (column {error.colno})") from None
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise DataError(f"is a JSON {type(value).__name__}, not an object")
    return value


def _check_header(header: list[str], place: str) -> None:
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise DataError(f"the header names {', '.join(sorted(repeated))} more than once", where=place)


def _csv_row(header: list[str], row: list[str]) -> Row | None:
    if not row:
        return None
    if len(row) != len(header):
        raise DataError(f"has {len(row)} cells, the header has {len(header)}")
    for cell in row:
        if not cell.isascii():
            _decode(cell.encode("utf-8", "surrogateescape"))
    return dict(zip(header, row, strict=True))


def _columns(fields: Row) -> str:
    return f"it has {', '.join(fields) or 'nothing'}"


def _seekable(stream: Stream) -> BinaryIO:
    if not stream.file.seekable():
        raise DataError(f"a {stream.kind} file cannot be read from a pipe", where=stream.name, hint="name the file")
    return stream.file


def _tell(stream: Stream) -> int:
    try:
        return stream.raw.tell()
    except OSError:
        return 0
