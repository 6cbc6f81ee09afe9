"""Vectors as JSON lines, in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.atomic import whole_file
from embedkit.data.columns import VECTOR, DType, as_float32
from embedkit.data.records import Record
from embedkit.data.rows import json_rows
from embedkit.data.streams import Stream
from embedkit.data.vectors import Batch, VectorMeta, VectorSet
from embedkit.errors import DataError, MismatchError

_ROWS = 4096  # rows read at a time


def read_jsonl(stream: Stream) -> tuple[VectorMeta, Iterator[Batch]]:
    """Read `{"id": ..., "vector": [...]}` lines; raises DataError when there is none."""
    batches = _jsonl_batches(stream)
    first = next(batches, None)
    if first is None:
        raise DataError("holds no vectors", where=stream.name)
    meta = VectorMeta(first.vectors.shape[1], has_text="text" in first.table.schema.names)
    return meta, chain([first], batches)


def _jsonl_batches(stream: Stream) -> Iterator[Batch]:
    records: list[Record] = []
    vectors: list[Any] = []
    width: int | None = None
    has_text: bool | None = None
    for place, row in json_rows(stream.file, stream.name):
        vector = _json_vector(row.pop(VECTOR, None), width, place)
        width = len(vector)
        has_text = "text" in row if has_text is None else has_text
        id = _word(row, "id" if "id" in row else "_id", place, default=place.rpartition(":")[2])
        records.append(Record(id, _word(row, "text", place, default=""), row))
        vectors.append(vector)
        if len(records) == _ROWS:
            yield Batch(tables.to_table(records, with_text=has_text), np.stack(vectors))
            records, vectors = [], []
    if records:
        yield Batch(tables.to_table(records, with_text=bool(has_text)), np.stack(vectors))


def _json_vector(value: Any, width: int | None, place: str) -> NDArray[np.float32]:
    if not isinstance(value, list) or not value or not {int, float, type(None)} >= set(map(type, value)):
        raise DataError("has no vector", where=place)
    if width is not None and len(value) != width:
        raise MismatchError(f"the vector has {len(value)} columns, those before it {width}", where=place)
    vector = as_float32(value)
    if not np.isfinite(vector).all():
        raise DataError("the vector is not finite", where=place)
    return vector


def _word(row: dict[str, Any], name: str, place: str, *, default: str) -> str:
    value = row.pop(name, default)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(f"field {name!r} is neither text nor a whole number", where=place)
    return str(value)


def write_jsonl(batches: Iterable[Batch], file: IO[bytes], dtype: DType = "float32") -> None:
    """Write `{"id": ..., "vector": [...], "text": ..., fields}` lines, flushed batch by batch."""
    for table, vectors in batches:
        rounded = vectors.astype(np.float16).astype(np.float32) if dtype == "float16" else vectors
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
