"""Vectors in `.parquet` and `.arrow` files and Arrow streams, read and written; the schema's metadata holds
their VectorMeta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from embedkit.data.affine import AffineMap
from embedkit.data.atomic import whole_file
from embedkit.data.text.streams import Stream
from embedkit.data.vectors import schemas
from embedkit.data.vectors.columns import VECTOR, vectors_of
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import stored
from embedkit.errors import DataError, FormatError

if TYPE_CHECKING:
    import pyarrow as pa

_META_KEY, _MAP_KEY = b"embedkit", b"embedkit-map"


def read_table(stream: Stream) -> tuple[VectorMeta, Iterator[Batch]]:
    """Read a table with a column `vector`; raises DataError when it has no rows and no VectorMeta."""
    schema = stream.table.schema
    annotation = (schema.metadata or {}).get(_META_KEY)
    if annotation:
        try:
            content = schema.metadata.get(_MAP_KEY)
            map = AffineMap.from_bytes(content, where=f"the map in {stream.name}") if content else None
            meta = VectorMeta.from_json(orjson.loads(annotation), map, where=stream.name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"its description of the vectors is damaged: {error!r}", where=stream.name
            ) from None
        return meta, _table_batches(stream, meta.dimension)
    batches = _table_batches(stream, None)
    first = next(batches, None)
    if first is None:
        raise DataError("contains no vectors", where=stream.name)
    meta = VectorMeta(first.vectors.shape[1], has_text="text" in schema.names)
    return meta, chain([first], batches)


def _table_batches(stream: Stream, dimension: int | None) -> Iterator[Batch]:
    import pyarrow as pa

    number = 0
    for batch in filter(len, stream.table.batches):
        table = schemas.plain(pa.Table.from_batches([batch]))
        vectors = vectors_of(table, dimension, where=stream.name, before=number)
        dimension = vectors.shape[1]
        yield Batch(_with_ids(table.drop_columns([VECTOR]), stream.name, number), vectors)
        number += batch.num_rows


def _with_ids(table: pa.Table, where: str, before: int) -> pa.Table:
    """Return the table with id and text first, as plain strings; without an id column, rows are numbered."""
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
)  # our name and the input's name; the last match wins


def _strings(column: pa.ChunkedArray, name: str, where: str, before: int) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = pa.array(column.to_pylist())
    types = pa.types
    strings = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_one(column.type) for is_one in (types.is_integer, *strings)):
        raise DataError(f"column {name!r} is {column.type}, not text", where=where)
    return column.cast(pa.string())


def write_arrow_stream(meta: VectorMeta, batches: Iterable[Batch], file: IO[bytes]) -> None:
    """Write an Arrow IPC stream; the first batch fixes the columns, and a later batch with other columns
    raises DataError.
    """
    import pyarrow as pa

    writer, columns, metadata = None, None, _metadata(meta)
    for table, vectors in batches:
        if columns is None:
            columns = table.schema
        elif not schemas.unify([columns, table.schema]).equals(columns, check_metadata=True):
            id = table.column("id")[0].as_py()
            raise DataError(
                f"field types change at id {id!r}, which an Arrow stream cannot follow",
                hint="write a vector set instead, to a folder",
            )
        whole = stored(schemas.conform(table, columns), vectors, meta).replace_schema_metadata(metadata)
        writer = writer or pa.ipc.new_stream(pa.PythonFile(file, mode="w"), whole.schema)
        writer.write_table(whole)
        file.flush()
    if writer is not None:
        writer.close()
        file.flush()


def write_parquet(source: VectorSet, path: Path) -> None:
    """Write a vector set as one Parquet file."""
    from pyarrow import parquet

    with whole_file(path) as file:
        _write_batches(source, lambda schema: parquet.ParquetWriter(file, schema))


def write_arrow(source: VectorSet, path: Path) -> None:
    """Write a vector set as one Arrow IPC file."""
    import pyarrow as pa

    with whole_file(path) as file:
        _write_batches(source, lambda schema: pa.ipc.new_file(file, schema))


def _write_batches(source: VectorSet, open_writer: Callable[[Any], Any]) -> None:
    writer, metadata = None, _metadata(source.meta)
    for table, vectors in source:
        whole = stored(table, vectors, source.meta).replace_schema_metadata(metadata)
        writer = writer or open_writer(whole.schema)
        writer.write_table(whole)
    if writer is not None:
        writer.close()


def _metadata(meta: VectorMeta) -> dict[bytes, bytes]:
    """Return `meta` as the metadata of a schema."""
    metadata = {_META_KEY: orjson.dumps(meta.to_json())}
    if meta.map is not None:
        metadata[_MAP_KEY] = meta.map.to_bytes()
    return metadata
