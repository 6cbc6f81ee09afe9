"""Vectors at the edges: `.npy`, `.parquet`, `.arrow`, `.jsonl` and Arrow streams, in and out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.atomic import whole_file
from embedkit.data.records import Record, json_rows
from embedkit.data.streams import Stream
from embedkit.data.vectors import VECTOR, Batch, VectorMeta, VectorSet, vectors_of, with_vectors
from embedkit.errors import DataError, MismatchError, UsageError

_META_KEY, _MAP_KEY = b"embedkit", b"embedkit-map"
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

        schema = stream.table.schema
        return VECTOR in schema.names and (
            pa.types.is_fixed_size_list(schema.field(VECTOR).type)
            or pa.types.is_list(schema.field(VECTOR).type)
        )
    if stream.kind == "jsonl":
        head: bytes = stream.file.peek(1 << 20)  # type: ignore[attr-defined]
        return b'"vector"' in head.partition(b"\n")[0]
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


def is_file_output(path: Path) -> bool:
    """Say whether an output name asks for one file rather than a vector set; raises UsageError where unclear."""
    if path.suffix in (".csv", ".tsv", ".txt", ".npz", ".gz", ".zst", ".faiss", ".safetensors"):
        raise UsageError(
            f"vectors are not written as {path.suffix}",
            where=str(path),
            hint="end the name in .npy, .parquet, .arrow or .jsonl, or in anything else for a vector set",
        )
    return path.suffix in (".npy", ".parquet", ".arrow", ".jsonl")


def write_jsonl(batches: Iterable[Batch], file: IO[bytes]) -> None:
    """Write `{"id": ..., "vector": [...], "text": ..., fields}` lines, flushed batch by batch."""
    for table, vectors in batches:
        for row, vector in zip(tables.to_rows(table), vectors, strict=True):
            line = {"id": row.pop("id"), VECTOR: vector, **row}
            file.write(
                orjson.dumps(line, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
            )
        file.flush()


def write_arrow_stream(meta: VectorMeta, batches: Iterable[Batch], file: IO[bytes]) -> None:
    """Write an Arrow IPC stream; the first batch settles the columns, and a later one that has others is refused."""
    import pyarrow as pa

    writer = columns = None
    for table, vectors in batches:
        if columns is None:
            columns = table.schema
        elif not tables.unify([columns, table.schema]).equals(columns, check_metadata=True):
            raise DataError(
                f"field types change at id {table.column('id')[0].as_py()!r}, which an Arrow stream cannot follow",
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.load(stream.name, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"is not a whole npy file: {error}", where=stream.name) from None
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(f"holds {array.dtype} of shape {array.shape}, not rows of vectors", where=stream.name)
    beside = Path(f"{stream.name}.ids.jsonl")
    rows = _ids_beside(beside, len(array)) if beside.is_file() else None
    meta = VectorMeta(array.shape[1], has_text=False)

    def batches() -> Iterator[Batch]:
        for start in range(0, len(array), _ROWS):
            vectors = _finite(
                np.asarray(array[start : start + _ROWS], dtype=np.float32), f"{stream.name}:{{}}", start
            )
            numbers = range(start + 1, start + 1 + len(vectors))
            records = (
                [next(rows) for _ in numbers] if rows else [Record(str(number), "", {}) for number in numbers]
            )
            yield Batch(tables.to_table(records, with_text=False), vectors)

    return VectorFile(stream.name, meta, batches())


def _ids_beside(path: Path, rows: int) -> Iterator[Record]:
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
        meta = VectorMeta.from_json(orjson.loads(annotation), (schema.metadata or {}).get(_MAP_KEY))
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
    for batch in stream.table.batches:
        table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        vectors = vectors_of(table, dimension, where=stream.name)
        dimension = vectors.shape[1] if len(vectors) else dimension
        yield Batch(_with_ids(table.drop_columns([VECTOR]), number), vectors)
        number += batch.num_rows


def _with_ids(table: Any, before: int) -> Any:
    """Bring id and text to plain strings in front; rows without an id column are numbered."""
    import pyarrow as pa

    names = [name for name in ("id", "text") if name in table.schema.names]
    front = {name: table.column(name).cast(pa.string()) for name in names}
    if "id" not in front:
        ids = pa.array([str(before + row + 1) for row in range(table.num_rows)], pa.string())
        front = {"id": ids, **front}
    rest = table.drop_columns(names)
    fields = [pa.field(name, pa.string()) for name in front]
    return pa.table([*front.values(), *rest.columns], schema=pa.schema([*fields, *rest.schema]))


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
        default = str(place.rpartition(":")[2])
        records.append(Record(str(row.pop("id", default)), str(row.pop("text", "")), row))
        vectors.append(vector)
        if len(records) == _ROWS:
            yield Batch(tables.to_table(records, with_text=has_text), np.stack(vectors))
            records, vectors = [], []
    if records:
        yield Batch(tables.to_table(records, with_text=bool(has_text)), np.stack(vectors))


def _json_vector(value: Any, width: int | None, place: str) -> NDArray[np.float32]:
    try:
        vector = np.array(value, dtype=np.float32)
    except (ValueError, TypeError):
        vector = np.empty(0, dtype=np.float32)
    if vector.ndim != 1 or not len(vector):
        raise DataError("has no vector", where=place)
    if width is not None and len(vector) != width:
        raise MismatchError(f"the vector has {len(vector)} columns, those before it {width}", where=place)
    return _finite(vector[None], place, 0)[0]


def _finite(vectors: NDArray[np.float32], place: str, before: int) -> NDArray[np.float32]:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise DataError("the vector is not finite", where=place.format(before + int(np.argmin(finite)) + 1))
    return vectors


def _again(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest


def _write_npy(source: VectorSet, path: Path) -> None:
    header = {"descr": np.dtype(source.meta.dtype).str, "fortran_order": False}
    with whole_file(Path(f"{path}.ids.jsonl")) as ids, whole_file(path) as file:
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
