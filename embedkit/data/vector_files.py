"""Vectors at the edges: `.npy`, `.parquet`, `.arrow`, `.jsonl` and Arrow streams, in and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.atomic import whole_file
from embedkit.data.records import Record, json_rows
from embedkit.data.streams import Stream
from embedkit.data.vectors import (
    VECTOR,
    Batch,
    DType,
    VectorMeta,
    VectorSet,
    as_float32,
    require_finite,
    vectors_of,
    with_vectors,
)
from embedkit.errors import DataError, FormatError, MismatchError, UsageError

_META_KEY, _MAP_KEY = b"embedkit", b"embedkit-map"
_JSON_VECTOR = re.compile(rb'"vector"\s*:\s*\[\s*[-0-9]')
_ROWS = 4096  # rows handled at a time where the input has no batches of its own


@dataclass
class VectorFile:
    """Vectors read from one open input, like a vector set but only once."""

    name: str
    meta: VectorMeta
    batches: Iterator[Batch]

    def __iter__(self) -> Iterator[Batch]:
        return self.batches


def holds_vectors(stream: Stream) -> bool:
    """Say whether an open input holds vectors rather than text; nothing of it is consumed."""
    if stream.kind == "npy":
        return True
    if stream.kind in ("parquet", "arrow"):
        import pyarrow as pa

        schema, types = stream.table.schema, pa.types
        vector = schema.field(VECTOR).type if VECTOR in schema.names else pa.null()
        is_list = types.is_fixed_size_list(vector) or types.is_list(vector) or types.is_large_list(vector)
        return bool(is_list and (types.is_floating(vector.value_type) or types.is_integer(vector.value_type)))
    if stream.kind == "jsonl":
        head: bytes = stream.file.peek(1 << 20)  # type: ignore[attr-defined]
        return _JSON_VECTOR.search(head.lstrip().partition(b"\n")[0]) is not None
    return False


def read_vectors(stream: Stream) -> VectorFile:
    """Read vectors from an open input that `holds_vectors`.

    Raises DataError (by row) for a missing, NaN or infinite vector and MismatchError when widths differ.
    """
    readers: dict[str, Callable[[Stream], VectorFile]] = {
        "npy": _read_npy, "parquet": _read_table, "arrow": _read_table, "jsonl": _read_jsonl,
    }  # fmt: skip
    return readers[stream.kind](stream)


def export(source: VectorSet, path: Path) -> None:
    """Write a vector set as the one file that `path`'s extension says, whole or not at all.

    `.npy` gets the ids and fields beside it, in `NAME.npy.ids.jsonl`.
    """
    writers: dict[str, Callable[[VectorSet, Path], None]] = {
        ".npy": _write_npy, ".parquet": _write_parquet, ".arrow": _write_arrow, ".jsonl": _write_jsonl,
    }  # fmt: skip
    writers[path.suffix](source, path)


def ids_beside(path: Path) -> Path:
    """Return where the ids of the vectors in the `.npy` file at `path` are kept."""
    return path.with_name(f"{path.name}.ids.jsonl")


def is_file_output(path: Path) -> bool:
    """Say whether an output name asks for one file rather than a vector set; raises UsageError where
    unclear.
    """
    if path.suffix in (".csv", ".tsv", ".txt", ".npz", ".gz", ".zst", ".faiss", ".safetensors"):
        raise UsageError(
            f"vectors are not written as {path.suffix}",
            where=str(path),
            hint="end the name in .npy, .parquet, .arrow or .jsonl, or in anything else for a vector set",
        )
    return path.suffix in (".npy", ".parquet", ".arrow", ".jsonl")


def write_jsonl(batches: Iterable[Batch], file: IO[bytes], dtype: DType = "float32") -> None:
    """Write `{"id": ..., "vector": [...], "text": ..., fields}` lines, flushed batch by batch."""
    for table, vectors in batches:
        rounded = vectors.astype(dtype).astype(np.float32)
        for row, vector in zip(tables.to_rows(table), rounded, strict=True):
            line = {"id": row.pop("id"), VECTOR: vector, **row}
            file.write(
                orjson.dumps(line, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
            )
        file.flush()


def write_arrow_stream(meta: VectorMeta, batches: Iterable[Batch], file: IO[bytes]) -> None:
    """Write an Arrow IPC stream; the first batch settles the columns, and a later one that has others is
    refused.
    """
    import pyarrow as pa

    writer = columns = None
    for table, vectors in batches:
        if columns is None:
            columns = table.schema
        elif not tables.unify([columns, table.schema]).equals(columns, check_metadata=True):
            id = table.column("id")[0].as_py()
            raise DataError(
                f"field types change at id {id!r}, which an Arrow stream cannot follow",
                hint="write a vector set with -o",
            )
        whole = _annotated(with_vectors(tables.conform(table, columns), vectors, meta.dtype), meta)
        writer = writer or pa.ipc.new_stream(pa.PythonFile(file, mode="w"), whole.schema)
        writer.write_table(whole)
        file.flush()
    if writer is not None:
        writer.close()
        file.flush()


def _read_npy(stream: Stream) -> VectorFile:
    shape, dtype = _npy_header(stream)
    rows, dimension = shape
    beside = ids_beside(Path(stream.name))
    named = _read_ids(beside, rows) if beside.is_file() else None

    def batches() -> Iterator[Batch]:
        for start in range(0, rows, _ROWS):
            count = min(_ROWS, rows - start)
            content = stream.file.read(count * dimension * dtype.itemsize)
            if len(content) < count * dimension * dtype.itemsize:
                raise DataError(f"is cut short: it should hold {rows} vectors", where=stream.name)
            vectors = as_float32(np.frombuffer(content, dtype).reshape(count, dimension))
            require_finite(vectors, where=stream.name, before=start)
            numbers = range(start + 1, start + 1 + count)
            records = (
                list(islice(named, count)) if named else [Record(str(number), "", {}) for number in numbers]
            )
            yield Batch(tables.to_table(records, with_text=False), vectors)

    return VectorFile(stream.name, VectorMeta(dimension, has_text=False), batches())


def _npy_header(stream: Stream) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Read the head of an npy file; raises DataError unless rows of floating-point vectors follow."""
    try:
        version = np.lib.format.read_magic(stream.file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(stream.file)
    except (ValueError, EOFError) as error:
        raise DataError(f"is not a whole npy file: {error}", where=stream.name) from None
    if len(shape) != 2 or not shape[1] or dtype.kind != "f":
        raise DataError(f"holds {dtype} of shape {shape}, not rows of vectors", where=stream.name)
    if fortran_order:
        raise DataError("is stored by columns", where=stream.name, hint="save numpy.ascontiguousarray of it")
    return shape, dtype


def _read_ids(path: Path, rows: int) -> Iterator[Record]:
    with open(path, "rb") as file:
        count = sum(1 for _ in file)
        if count != rows:
            raise MismatchError(f"has {count} ids for {rows} vectors", where=str(path))

    def records() -> Iterator[Record]:
        with open(path, "rb") as file:
            for place, row in json_rows(file, str(path)):
                if "id" not in row:
                    raise DataError("has no id", where=place)
                yield Record(str(row.pop("id")), "", row)

    return records()


def _read_table(stream: Stream) -> VectorFile:
    schema = stream.table.schema
    annotation = (schema.metadata or {}).get(_META_KEY)
    if annotation:
        try:
            meta = VectorMeta.from_json(orjson.loads(annotation), (schema.metadata or {}).get(_MAP_KEY))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"what it says of its vectors is damaged: {error!r}", where=stream.name
            ) from None
        return VectorFile(stream.name, meta, _table_batches(stream, meta.dimension))
    batches = _table_batches(stream, None)
    first = next(batches, None)
    if first is None:
        raise DataError("holds no vectors", where=stream.name)
    meta = VectorMeta(first.vectors.shape[1], has_text="text" in schema.names)
    return VectorFile(stream.name, meta, _again(first, batches))


def _table_batches(stream: Stream, dimension: int | None) -> Iterator[Batch]:
    import pyarrow as pa

    number = 0
    for batch in filter(len, stream.table.batches):
        table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        vectors = vectors_of(table, dimension, where=stream.name, before=number)
        dimension = vectors.shape[1]
        yield Batch(_with_ids(table.drop_columns([VECTOR]), stream.name, number), vectors)
        number += batch.num_rows


def _with_ids(table: Any, where: str, before: int) -> Any:
    """Bring id and text to plain strings in front; rows without an id column are numbered."""
    import pyarrow as pa

    names = {ours: name for ours, name in _NAMES if name in table.schema.names}
    front = {ours: _strings(table.column(name), name, where, before) for ours, name in names.items()}
    if "id" not in front:
        ids = pa.array([str(before + row + 1) for row in range(table.num_rows)], pa.string())
        front = {"id": ids, **front}
    elif front["id"].null_count:
        row = front["id"].to_pylist().index(None)
        raise DataError("has no id", where=f"{where}:{before + row + 1}")
    rest = table.drop_columns(list(names.values()))
    fields = [pa.field(name, pa.string()) for name in front]
    return pa.table([*front.values(), *rest.columns], schema=pa.schema([*fields, *rest.schema]))


_NAMES = (
    ("id", "_id"),
    ("id", "id"),
    ("text", "text"),
)  # our names and those in the input, the last one wins


def _strings(column: Any, name: str, where: str, before: int) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = pa.array(column.to_pylist())
    types = pa.types
    strings = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_one(column.type) for is_one in (types.is_integer, *strings)):
        raise DataError(f"column {name!r} is {column.type}, not text", where=where)
    return column.cast(pa.string())


def _read_jsonl(stream: Stream) -> VectorFile:
    batches = _jsonl_batches(stream)
    first = next(batches, None)
    if first is None:
        raise DataError("holds no vectors", where=stream.name)
    meta = VectorMeta(first.vectors.shape[1], has_text="text" in first.table.schema.names)
    return VectorFile(stream.name, meta, _again(first, batches))


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


def _again(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest


def _write_npy(source: VectorSet, path: Path) -> None:
    header = {"descr": np.dtype(source.meta.dtype).str, "fortran_order": False}
    with whole_file(ids_beside(path)) as ids, whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (source.rows, source.meta.dimension)})
        for table, vectors in source:
            file.write(np.ascontiguousarray(vectors, dtype=source.meta.dtype).tobytes())
            names = [name for name in table.schema.names if name != "text"]
            for row in tables.to_rows(table.select(names)):
                ids.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))


def _write_parquet(source: VectorSet, path: Path) -> None:
    from pyarrow import parquet

    with whole_file(path) as file:
        _write_batches(source, lambda schema: parquet.ParquetWriter(file, schema))


def _write_arrow(source: VectorSet, path: Path) -> None:
    import pyarrow as pa

    with whole_file(path) as file:
        _write_batches(source, lambda schema: pa.ipc.new_file(file, schema))


def _write_batches(source: VectorSet, open_writer: Callable[[Any], Any]) -> None:
    writer = None
    for table, vectors in source:
        whole = _annotated(with_vectors(table, vectors, source.meta.dtype), source.meta)
        writer = writer or open_writer(whole.schema)
        writer.write_table(whole)
    if writer is not None:
        writer.close()


def _write_jsonl(source: VectorSet, path: Path) -> None:
    with whole_file(path) as file:
        write_jsonl(source, file)


def _annotated(table: Any, meta: VectorMeta) -> Any:
    """Put what is known of the vectors into the schema's metadata."""
    metadata = {_META_KEY: orjson.dumps(meta.to_json())}
    if meta.map_file is not None:
        metadata[_MAP_KEY] = meta.map_file
    return table.replace_schema_metadata(metadata)
