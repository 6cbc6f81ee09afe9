"""Vectors as JSON lines, read and written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import whole_file
from embedkit.data.text.json_lines import json_rows, json_type
from embedkit.data.text.record import Record
from embedkit.data.text.streams import Stream, open_stream
from embedkit.data.vectors import tables
from embedkit.data.vectors.columns import VECTOR, DType, as_float32, halves
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.errors import DataError, MismatchError

_ROWS = 4096  # rows read at a time


class _Block(NamedTuple):
    """Rows read together, and the place of the first row that has a text."""

    records: list[Record]
    vectors: NDArray[np.float32]
    text_at: str | None


def read_jsonl(stream: Stream) -> tuple[VectorMeta, Iterator[Batch]]:
    """Read `{"id": ..., "vector": [...]}` lines; if any line has a text, lines without one get an empty text.
    A text that is null is none.

    Raises DataError when there are no lines and, for a pipe, which cannot be read twice, when a text appears
    after a first block of lines without texts.
    """
    blocks = _blocks(stream)
    first = next(blocks, None)
    if first is None:
        raise DataError("contains no vectors", where=stream.name)
    has_text = first.text_at is not None or _has_text(stream)

    def batches() -> Iterator[Batch]:
        """Yield one batch per block of lines."""
        for block in chain([first], blocks):
            if block.text_at is not None and not has_text:
                hint = "name a file instead of a pipe"
                raise DataError("has a text, but the first lines have none", where=block.text_at, hint=hint)
            yield Batch(tables.to_table(block.records, with_text=has_text), block.vectors)

    return VectorMeta(first.vectors.shape[1], has_text=has_text), batches()


def _has_text(stream: Stream) -> bool:
    """Return whether any line of a file on disk has a text, without reading the vectors."""
    if stream.name == "-" or not Path(stream.name).is_file():
        return False
    with open_stream(stream.name, stream.kind) as again:
        lines = (line for line in again.file if b'"text"' in line)
        return any(row.get("text") is not None for _, row in json_rows(lines, stream.name))


def _blocks(stream: Stream) -> Iterator[_Block]:
    records: list[Record] = []
    vectors: list[NDArray[np.float32]] = []
    text_at: str | None = None
    width: int | None = None
    for place, row in json_rows(stream.file, stream.name):
        vector = _json_vector(row.pop(VECTOR, None), width, place)
        width = len(vector)
        if row.get("text") is None:
            row.pop("text", None)
        elif text_at is None:
            text_at = place
        id = take_word(row, "id" if "id" in row else "_id", place, default=place.rpartition(":")[2])
        records.append(Record(id, take_word(row, "text", place, default=""), row))
        vectors.append(vector)
        if len(records) == _ROWS:
            yield _Block(records, np.stack(vectors), text_at)
            records, vectors, text_at = [], [], None
    if records:
        yield _Block(records, np.stack(vectors), text_at)


def _json_vector(value: object, width: int | None, place: str) -> NDArray[np.float32]:
    if value is None or value == []:
        raise DataError("has no vector", where=place)
    if not isinstance(value, list) or not {int, float, type(None)} >= set(map(type, value)):
        found = f"a list of {json_type(value[0])}" if isinstance(value, list) else json_type(value)
        raise DataError(
            f"has no vector: field {VECTOR!r} is {found}, expected a list of numbers", where=place
        )
    if width is not None and len(value) != width:
        raise MismatchError(
            f"the vector has {len(value)} dimensions, earlier vectors have {width}", where=place
        )
    vector = as_float32(value)
    if not np.isfinite(vector).all():
        raise DataError("the vector is not finite", where=place)
    return vector


def take_word(row: dict[str, object], name: str, place: str, *, default: str) -> str:
    """Remove a field that must be text or a whole number from a row and return it as text; raises DataError
    for any other type.
    """
    value = row.pop(name, default)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(f"field {name!r} is neither text nor a whole number", where=place)
    return str(value)


def write_jsonl(batches: Iterable[Batch], file: IO[bytes], dtype: DType = "float32") -> None:
    """Write `{"id": ..., "vector": [...], "text": ..., fields}` lines, flushed after each batch."""
    for table, vectors in batches:
        rounded = halves(table, vectors).astype(np.float32) if dtype == "float16" else vectors
        for row, vector in zip(tables.to_rows(table), rounded, strict=True):
            line = {"id": row.pop("id"), VECTOR: vector, **row}
            file.write(
                orjson.dumps(line, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
            )
        file.flush()


def write_jsonl_file(source: VectorSet, path: Path) -> None:
    """Write a vector set as JSON lines."""
    with whole_file(path) as file:
        write_jsonl(source, file)
