"""Vectors in one `.npy` file, read and written; ids and fields are in a file next to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from embedkit.data.atomic import whole_file
from embedkit.data.text.json_lines import json_rows
from embedkit.data.text.record import Record
from embedkit.data.text.streams import Stream
from embedkit.data.vectors import tables
from embedkit.data.vectors.columns import as_float32, require_finite
from embedkit.data.vectors.jsonl import take_word
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.errors import DataError, MismatchError

_ROWS = 4096  # rows read at a time


def ids_beside(path: Path) -> Path:
    """Return the path of the file that holds the ids of the `.npy` file at `path`."""
    return path.with_name(f"{path.name}.ids.jsonl")


def read_npy(stream: Stream) -> tuple[VectorMeta, Iterator[Batch]]:
    """Read rows of vectors; ids come from the file next to them, or are the numbers of the rows."""
    shape, dtype = _npy_header(stream)
    rows, dimension = shape
    _require_size(stream, rows * dimension * dtype.itemsize, rows)
    beside = ids_beside(Path(stream.name))
    named = _read_ids(beside, rows) if beside.is_file() else None

    def batches() -> Iterator[Batch]:
        """Yield the vectors with their ids, some rows at a time."""
        for start in range(0, rows, _ROWS):
            count = min(_ROWS, rows - start)
            content = stream.file.read(count * dimension * dtype.itemsize)
            if len(content) < count * dimension * dtype.itemsize:
                raise _cut_short(stream, rows)
            vectors = as_float32(np.frombuffer(content, dtype).reshape(count, dimension))
            require_finite(vectors, where=stream.name, before=start)
            numbers = range(start + 1, start + 1 + count)
            records = (
                list(islice(named, count)) if named else [Record(str(number), "", {}) for number in numbers]
            )
            yield Batch(tables.to_table(records, with_text=False), vectors)
        if stream.file.read(1):
            raise _goes_on(stream, rows)

    return VectorMeta(dimension, has_text=False), batches()


def _npy_header(stream: Stream) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Read the header of an npy file; raises DataError unless rows of floating-point vectors follow."""
    try:
        version = np.lib.format.read_magic(stream.file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(stream.file)
    except (ValueError, EOFError) as error:
        raise DataError(f"is truncated, or not an npy file: {error}", where=stream.name) from None
    if len(shape) != 2 or not shape[1] or dtype.kind != "f":
        raise DataError(f"holds {dtype} of shape {shape}, not rows of vectors", where=stream.name)
    if fortran_order:
        raise DataError(
            "is stored column by column", where=stream.name, hint="save it through numpy.ascontiguousarray"
        )
    return shape, dtype


def _require_size(stream: Stream, size: int, rows: int) -> None:
    """Raise DataError unless exactly `size` bytes follow in the file, where this is known before reading."""
    if stream.compression is not None or stream.size is None or not stream.file.seekable():
        return
    left = stream.size - stream.file.tell()
    if left != size:
        raise _cut_short(stream, rows) if left < size else _goes_on(stream, rows)


def _cut_short(stream: Stream, rows: int) -> DataError:
    return DataError(f"is truncated: its header declares {rows} vectors", where=stream.name)


def _goes_on(stream: Stream, rows: int) -> DataError:
    hint = "save the array again"
    return DataError(
        f"is longer than the {rows} vectors that its header declares", where=stream.name, hint=hint
    )


def _read_ids(path: Path, rows: int) -> Iterator[Record]:
    """Read one line per vector; raises DataError naming a line without an id, and MismatchError unless there
    are as many lines as vectors.
    """
    with open(path, "rb") as file:
        count = 0
        for number, line in enumerate(file, 1):
            if not line.strip():
                raise DataError("the line is blank, expected an id", where=f"{path}:{number}")
            count = number
        if count != rows:
            raise MismatchError(f"has {count} ids for {rows} vectors", where=str(path))

    def records() -> Iterator[Record]:
        """Yield one record per line, with an id and fields."""
        with open(path, "rb") as file:
            for place, row in json_rows(file, str(path)):
                if "id" not in row:
                    raise DataError("has no id", where=place)
                yield Record(take_word(row, "id", place, default=""), "", row)

    return records()


def write_npy(source: VectorSet, path: Path) -> None:
    """Write a vector set as one matrix `(rows, dimension)`, with its ids and fields in a file next to it."""
    header = {"descr": np.dtype(source.meta.dtype).str, "fortran_order": False}
    with whole_file(ids_beside(path)) as ids, whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (source.rows, source.meta.dimension)})
        for table, vectors in source:
            file.write(np.ascontiguousarray(vectors, dtype=source.meta.dtype).tobytes())
            names = [name for name in table.schema.names if name != "text"]
            for row in tables.to_rows(table.select(names)):
                ids.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))
