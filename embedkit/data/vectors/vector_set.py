"""Vector sets: a folder of Arrow shards and a `meta.json`, streamed in and out; ids, texts and fields are
stored with the vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors import schemas
from embedkit.data.vectors.columns import VECTOR, DType, codes_in, vectors_of
from embedkit.data.vectors.meta import META, Batch, VectorMeta, read_meta
from embedkit.data.vectors.shards import Shard, check_shard, read_table
from embedkit.errors import DataError, FormatError, MismatchError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["META", "Batch", "DType", "VectorMeta", "VectorSet", "checked"]


@dataclass(frozen=True)
class VectorSet:
    """A vector set on disk, read by memory map."""

    path: Path
    meta: VectorMeta
    shards: tuple[Shard, ...] = field(repr=False)
    known_schema: pa.Schema = field(
        default=None, repr=False, compare=False
    )  # `schema`, where it is known already

    @classmethod
    def open(cls, path: str | Path) -> VectorSet:
        """Open a folder; raises FormatError when it is not a vector set, is damaged, or is of another
        version.
        """
        path = Path(path)
        return cls(path, *read_meta(path))

    @property
    def rows(self) -> int:
        """Return the number of rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    @cached_property
    def schema(self) -> pa.Schema:
        """Return one Arrow schema for the id, text and fields of all shards."""
        return self.known_schema or schemas.unify(
            schema.remove(schema.get_field_index(VECTOR))
            for schema in (table.schema for table in self._tables())
        )

    def batches(self) -> Iterator[Batch]:
        """Yield one batch per shard, in order; float16 numbers and codes are converted to float32."""
        row = 0
        for table in self._tables():
            vectors = self._vectors(table, before=row)
            row += len(vectors)
            yield Batch(self._documents(table), vectors)

    def coded_batches(self) -> Iterator[Batch]:
        """Yield one batch per shard, in order, with the stored codes `(rows, width)` in place of vectors.

        Raises MismatchError when the set stores floats.
        """
        codes = self.meta.codes
        if codes is None:
            raise MismatchError(f"stores {self.meta.dtype}, not codes", where=str(self.path))
        for table in self._tables():
            yield Batch(self._documents(table), codes_in(table, codes, where=str(self.path)))

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def column(self, name: str, shard: int) -> pa.ChunkedArray:
        """Return one column of one shard, by memory map."""
        return self.table(shard).column(name)

    def vectors(self, shard: int) -> NDArray[np.float32]:
        """Return the vectors of one shard, `(rows, dimension)`, by memory map when they are stored as
        float32.
        """
        return self._vectors(self.table(shard))

    def verify(self) -> None:
        """Raise FormatError naming the first shard whose size or checksum differs from the recorded one."""
        for shard in self.shards:
            check_shard(self.path, shard)

    def _vectors(self, table: pa.Table, before: int = 0) -> NDArray[np.float32]:
        where, codes = str(self.path), self.meta.codes
        if codes is not None:
            return codes.decode(codes_in(table, codes, where=where))
        return vectors_of(table, self.meta.dimension, where=where, before=before)

    def _documents(self, table: pa.Table) -> pa.Table:
        return schemas.conform(table.drop_columns([VECTOR]), self.schema)

    def _tables(self) -> Iterator[pa.Table]:
        return map(self.table, range(len(self.shards)))

    def table(self, place: int) -> pa.Table:
        """Return one shard with its vectors, by memory map; raises FormatError when it has changed."""
        shard = self.shards[place]
        table = read_table(self.path / shard.file)
        if table.num_rows != shard.rows or VECTOR not in table.schema.names:
            raise FormatError(f"{shard.file} has changed since it was written", where=str(self.path))
        return table


def checked(batches: Iterable[Batch], dimension: int) -> Iterator[Batch]:
    """Yield the batches; raises DataError naming the first id whose vector holds NaN or infinity, and
    MismatchError for another dimension.
    """
    for batch in batches:
        if batch.vectors.shape[1] != dimension:
            raise MismatchError(f"vectors have {batch.vectors.shape[1]} dimensions, expected {dimension}")
        finite = np.isfinite(batch.vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(f"the vector of id {batch.table.column('id')[row].as_py()!r} is not finite")
        yield batch
