"""Vector sets: a folder of Arrow shards and a `meta.json`, streamed in and out; ids, text and fields
travel with the vectors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data import tables
from embedkit.data.atomic import discard, hold, put_in_place, write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.data.shards import (
    JOURNAL,
    SHARD_ROWS,
    Shard,
    ShardWriter,
    check_shard,
    drop_journal,
    read_table,
)
from embedkit.errors import DataError, ExistsError, FormatError, MismatchError

FORMAT, VERSION = "embedkit-vectors", 1
META = "meta.json"
MAP = "map.safetensors"
VECTOR = "vector"

DType = Literal["float32", "float16"]


class Batch(NamedTuple):
    """Rows in order: an Arrow table (`id`, `text` if kept, other fields) and their vectors `(rows,
    dimension)`.
    """

    table: Any
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class VectorMeta:
    """What is known of a set of vectors; `identity` is None when nobody said which encoder made them."""

    dimension: int
    identity: Identity | None = None
    dtype: DType = "float32"
    has_text: bool = True
    map_file: bytes | None = field(
        default=None, repr=False
    )  # content of the file of the map behind the encoder
    part: str | None = None  # "2/4": the second of four parts of one corpus, to be merged

    @property
    def normalized(self) -> bool:
        """True when the vectors are known to have unit length."""
        return self.identity is not None and self.identity.normalized

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        encoder = self.identity.to_json() if self.identity else None
        return {
            "dimension": self.dimension,
            "dtype": self.dtype,
            "normalized": self.normalized,
            "text": self.has_text,
            "encoder": encoder,
            "part": self.part,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], map_file: bytes | None = None) -> VectorMeta:
        """Read what `to_json` wrote; the map travels beside it."""
        identity = Identity.from_json(value["encoder"]) if value.get("encoder") else None
        return cls(value["dimension"], identity, value["dtype"], value["text"], map_file, value.get("part"))


@dataclass(frozen=True)
class VectorSet:
    """A vector set on disk, read by memory map."""

    path: Path
    meta: VectorMeta
    shards: tuple[Shard, ...] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> VectorSet:
        """Open a folder; raises FormatError when it is no vector set, of another version, or shards are
        missing.
        """
        path = Path(path)
        if not (path / META).is_file():
            raise FormatError(f"is not a vector set: it has no {META}", where=str(path))
        try:
            value = orjson.loads((path / META).read_bytes())
            require_format(value, FORMAT, VERSION, thing="a vector set", where=str(path))
            map_file = (path / MAP).read_bytes() if (path / MAP).is_file() else None
            return cls(
                path,
                VectorMeta.from_json(value, map_file),
                tuple(Shard(**shard) for shard in value["shards"]),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{META} is damaged: {error!r}", where=str(path)) from None

    @property
    def rows(self) -> int:
        """Rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    @cached_property
    def schema(self) -> Any:
        """One Arrow schema for id, text and fields of all shards."""
        return tables.unify(
            schema.remove(schema.get_field_index(VECTOR))
            for schema in (table.schema for table in self._tables())
        )

    def batches(self) -> Iterator[Batch]:
        """Yield a batch a shard, in order; float16 sets come back as float32."""
        row = 0
        for table in self._tables():
            vectors = vectors_of(table, self.meta.dimension, where=str(self.path), before=row)
            row += len(vectors)
            yield Batch(tables.conform(table.drop_columns([VECTOR]), self.schema), vectors)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def column(self, name: str, shard: int) -> Any:
        """Return one column of one shard, by memory map."""
        return self._table(shard).column(name)

    def vectors(self, shard: int) -> NDArray[np.float32]:
        """Return the vectors of one shard, `(rows, dimension)`, by memory map where they are stored as
        float32.
        """
        return vectors_of(self._table(shard), self.meta.dimension, where=str(self.path))

    def verify(self) -> None:
        """Raise FormatError naming the first shard whose size or checksum is not what was written."""
        for shard in self.shards:
            check_shard(self.path, shard)

    def _tables(self) -> Iterator[Any]:
        return map(self._table, range(len(self.shards)))

    def _table(self, place: int) -> Any:
        shard = self.shards[place]
        table = read_table(self.path / shard.file)
        if table.num_rows != shard.rows or VECTOR not in table.schema.names:
            raise FormatError(f"{shard.file} is not the shard that was written", where=str(self.path))
        return table


class VectorSetWriter(ShardWriter):
    """Writes a vector set: shards beside `path`, then the whole folder at once when it is closed.

    The unfinished folder is `NAME.partial`; it is kept when rows have been sealed, so that `resume` can go
    on. `settings` is whatever else must be the same for that (the input's names, the precision). Raises
    ExistsError when an unfinished run is there and neither `resume` nor `force` was asked for.
    """

    def __init__(
        self,
        path: Path,
        meta: VectorMeta,
        *,
        settings: dict[str, Any] | None = None,
        resume: bool = False,
        force: bool = False,
        shard_rows: int = SHARD_ROWS,
    ) -> None:
        self.path, self.meta = path, meta
        partial = partial_folder(path)
        _refuse_strangers(partial)
        partial.mkdir(exist_ok=True)
        self._lock = hold(partial)
        if force and not resume:
            for file in partial.iterdir():
                file.unlink()
        elif not resume and any(partial.glob("*.arrow")):
            os.close(self._lock)
            raise ExistsError(
                "an unfinished run is here",
                where=str(partial),
                hint="encode --resume continues it, --force starts again",
            )
        header = {
            "format": FORMAT,
            "version": VERSION,
            "rows": shard_rows,
            **meta.to_json(),
            **(settings or {}),
        }
        try:
            super().__init__(partial, header, shard_rows=shard_rows, resume=resume)
        except BaseException:
            os.close(self._lock)
            raise

    def write(self, batch: Batch) -> None:
        """Append a batch; raises DataError naming the first row that holds NaN or infinity."""
        for table, vectors in checked([batch], self.meta.dimension):
            self.append(with_vectors(table, vectors, self.meta.dtype))

    def complete(self) -> VectorSet:
        """Seal the last shard and write the meta file; the set is whole, but still in its unfinished
        folder.
        """
        write_meta(self.folder, self.meta, self.close())
        return VectorSet.open(self.folder)

    def finish(self) -> VectorSet:
        """Complete the set and put the folder in its place."""
        self.complete()
        put_in_place(self.folder, self.path)
        drop_journal(self.path)
        os.close(self._lock)
        return VectorSet.open(self.path)

    def remove(self) -> None:
        """Remove the unfinished folder, once its content has gone elsewhere."""
        discard(self.folder)
        os.close(self._lock)

    def abandon(self) -> int:
        """Leave an unfinished run: keep sealed shards and return their rows, or remove an empty folder."""
        if not self.sealed:
            discard(self.folder)
        os.close(self._lock)
        return self.sealed_rows

    def _shape(self, table: Any) -> Any:
        return (
            table if self.meta.has_text or "text" not in table.schema.names else table.drop_columns(["text"])
        )


def partial_folder(path: Path) -> Path:
    """Return where an unfinished vector set for `path` is kept."""
    return path.with_name(f"{path.name}.partial")


def _refuse_strangers(partial: Path) -> None:
    ours = (META, MAP, JOURNAL, "part-")
    if partial.is_dir() and not all(file.name.lstrip(".").startswith(ours) for file in partial.iterdir()):
        raise ExistsError(
            "is a folder that holds something else", where=str(partial), hint="choose another name"
        )


def write_meta(folder: Path, meta: VectorMeta, shards: Iterable[Shard]) -> None:
    """Write a vector set's meta file; it holds nothing that differs between two runs over the same input."""
    shards = list(shards)
    value = {
        "format": FORMAT,
        "version": VERSION,
        "rows": sum(shard.rows for shard in shards),
        **meta.to_json(),
        "shards": [asdict(shard) for shard in shards],
    }
    if meta.map_file is not None:
        write_whole(folder / MAP, meta.map_file)
    write_whole(folder / META, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def with_vectors(table: Any, vectors: NDArray[np.float32], dtype: DType = "float32") -> Any:
    """Return a table with a fixed-size-list column `vector` behind the others."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors, dtype=dtype).reshape(-1))
    return table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))


def vectors_of(table: Any, dimension: int | None, *, where: str, before: int = 0) -> NDArray[np.float32]:
    """Return the `vector` column as float32 `(rows, dimension)`, without copying where it already is float32.

    Raises DataError for a null, NaN or infinite vector (by row, `before` rows came earlier) and MismatchError
    for another width.
    """
    import pyarrow as pa

    column = table.column(VECTOR).combine_chunks() if table.num_rows else None
    if column is None:
        return np.empty((0, dimension or 0), dtype=np.float32)
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError("has no vector", where=f"{where}:{before + row + 1}")
    widths = {column.type.list_size} if pa.types.is_fixed_size_list(column.type) else _widths(column)
    if len(widths) > 1 or (dimension is not None and widths != {dimension}):
        found = " and ".join(map(str, sorted(widths)))
        raise MismatchError(f"vectors have {found} columns, expected {dimension or 'one width'}", where=where)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    vectors = as_float32(flat).reshape(len(column), widths.pop())
    require_finite(vectors, where=where, before=before)
    return vectors


def as_float32(numbers: Any) -> NDArray[np.float32]:
    """Return numbers as float32; what is too large becomes infinite, for `require_finite` to find."""
    with np.errstate(over="ignore"):
        return np.asarray(numbers, dtype=np.float32)


def require_finite(vectors: NDArray[np.float32], *, where: str, before: int = 0) -> None:
    """Raise DataError naming the first row of `(rows, dimension)` that holds NaN or infinity."""
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise DataError("the vector is not finite", where=f"{where}:{before + int(np.argmin(finite)) + 1}")


def checked(batches: Iterable[Batch], dimension: int) -> Iterator[Batch]:
    """Pass batches on; raises DataError naming the first id whose vector holds NaN or infinity, and for
    another width.
    """
    for batch in batches:
        if batch.vectors.shape[1] != dimension:
            raise MismatchError(f"vectors have {batch.vectors.shape[1]} columns, not {dimension}")
        finite = np.isfinite(batch.vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(f"the vector of id {batch.table.column('id')[row].as_py()!r} is not finite")
        yield batch


def _widths(column: Any) -> set[int]:
    from pyarrow import compute

    return set(compute.list_value_length(column).unique().to_pylist())
