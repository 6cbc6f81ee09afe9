"""Reading by workers: a file is surveyed once, then any run of its records is read from a mark near it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from embedkit.cluster.corpus import CorpusSurvey, Span, Unit
from embedkit.data.text.read_errors import readable
from embedkit.data.text.record import Record
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.data.text.streams import Stream, open_stream

MARK_RECORDS = 4096  # records between two places of a file where reading can start


def survey(name: str, format: TextFormat) -> CorpusSurvey:
    """Read a file and count its records; raises DataError naming the first record that cannot be read."""
    with open_stream(name, format.input_format) as stream:
        reader = RecordReader([stream], format)
        marks = np.array(list(_marks(reader, stream)), dtype=np.int64)
        return CorpusSurvey(name, reader.read, reader.blank, reader.skipped, marks)


def records_of(unit: Unit, format: TextFormat, *, several: bool) -> Iterator[Record]:
    """Yield the records of a unit as a single process reads them; with `several`, ids contain the file's
    name.
    """
    for span in unit.spans:
        yield from _records(span, format, several=several)


def _records(span: Span, format: TextFormat, *, several: bool) -> Iterator[Record]:
    with open_stream(span.name, format.input_format) as stream:
        if span.rows_before:
            with readable(span.name):
                stream.begin(span.rows_before, span.offset)
        reader = RecordReader([stream], format, names=[span.name] * (1 + several))
        yield from islice(reader, span.skip, span.skip + span.records)


def _marks(reader: RecordReader, stream: Stream) -> Iterator[tuple[int, int, int]]:
    """Read all records, and yield the records, rows and offset before each place where reading can start."""
    yield 0, 0, 0
    groups = _row_groups(stream)
    starts, group = [*groups, None], 0
    by_bytes = stream.kind in ("text", "jsonl") and stream.file.seekable()
    for _ in reader:
        rows = reader.read + reader.blank + reader.skipped
        if by_bytes and reader.read % MARK_RECORDS == 0:
            yield reader.read, rows, stream.file.tell()
        while (start := starts[group]) is not None and rows >= start:
            group += 1
            yield reader.read - (rows > start), start, group


def _row_groups(stream: Stream) -> list[int]:
    """Return the rows before each row group of a parquet file except the first; [] for other files."""
    if stream.kind != "parquet":
        return []
    ends: list[int] = np.cumsum(stream.table.group_rows[:-1], dtype=np.int64).tolist()
    return ends
