"""Vector sets: a folder of Arrow shards and a `meta.json`, streamed in and out; ids, texts and fields are
stored with the vectors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.atomic import discard, hold, put_in_place, whole_folder
from embedkit.data.vectors import tables
from embedkit.data.vectors.codes import calibrate
from embedkit.data.vectors.columns import VECTOR, DType, codes_in, vectors_of, with_codes, with_vectors
from embedkit.data.vectors.meta import FORMAT, MAP, META, Batch, VectorMeta, read_meta, write_meta
from embedkit.data.vectors.shards import (
    JOURNAL,
    SHARD_ROWS,
    Shard,
    ShardWriter,
    check_shard,
    drop_journal,
    read_table,
    write_table,
)
from embedkit.errors import DataError, ExistsError, FormatError, MismatchError

__all__ = [
    "META", "Batch", "DType", "VectorMeta", "VectorSet", "VectorSetWriter", "checked", "partial_folder",
    "write_meta",
]  # fmt: skip


@dataclass(frozen=True)
class VectorSet:
    """A vector set on disk, read by memory map."""

    path: Path
    meta: VectorMeta
    shards: tuple[Shard, ...] = field(repr=False)
    known_schema: Any = field(default=None, repr=False, compare=False)  # `schema`, where it is known already

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
    def schema(self) -> Any:
        """Return one Arrow schema for the id, text and fields of all shards."""
        return self.known_schema or tables.unify(
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

    def column(self, name: str, shard: int) -> Any:
        """Return one column of one shard, by memory map."""
        return self._table(shard).column(name)

    def vectors(self, shard: int) -> NDArray[np.float32]:
        """Return the vectors of one shard, `(rows, dimension)`, by memory map when they are stored as
        float32.
        """
        return self._vectors(self._table(shard))

    def verify(self) -> None:
        """Raise FormatError naming the first shard whose size or checksum differs from the recorded one."""
        for shard in self.shards:
            check_shard(self.path, shard)

    def _vectors(self, table: Any, before: int = 0) -> NDArray[np.float32]:
        where, codes = str(self.path), self.meta.codes
        if codes is not None:
            return codes.decode(codes_in(table, codes, where=where))
        return vectors_of(table, self.meta.dimension, where=where, before=before)

    def _documents(self, table: Any) -> Any:
        return tables.conform(table.drop_columns([VECTOR]), self.schema)

    def _tables(self) -> Iterator[Any]:
        return map(self._table, range(len(self.shards)))

    def _table(self, place: int) -> Any:
        shard = self.shards[place]
        table = read_table(self.path / shard.file)
        if table.num_rows != shard.rows or VECTOR not in table.schema.names:
            raise FormatError(f"{shard.file} has changed since it was written", where=str(self.path))
        return table


class VectorSetWriter(ShardWriter):
    """A writer of a vector set: shards go into a folder next to `path`, which is put in place when it is
    finished.

    A `with` block that ends before that keeps the unfinished folder, `NAME.partial`, if it holds sealed rows,
    so that `resume` can continue; if `resumable` is False, it deletes the folder. `settings` holds other
    settings that must be equal to resume (the input's names, the precision). int8 codes need the ranges of
    all rows: the unfinished folder holds float32 and is coded when it is finished. Raises ExistsError when an
    unfinished run exists and neither `resume` nor `force` is given.
    """

    def __init__(
        self,
        path: Path,
        meta: VectorMeta,
        *,
        settings: dict[str, Any] | None = None,
        resume: bool = False,
        force: bool = False,
        resumable: bool = True,
        shard_rows: int = SHARD_ROWS,
    ) -> None:
        self.path, self.meta, self.resumable = path, meta, resumable
        partial = partial_folder(path)
        _refuse_strangers(partial)
        partial.mkdir(exist_ok=True)
        header = {
            "format": FORMAT,
            "version": meta.version,
            "rows": shard_rows,
            **meta.to_json(),
            **(settings or {}),
        }
        with ExitStack() as stack:
            stack.callback(os.close, hold(partial))
            if force and not resume:
                for file in partial.iterdir():
                    file.unlink()
            elif not resume and any(partial.glob("*.arrow")):
                raise ExistsError(
                    "is an unfinished run",
                    where=str(partial),
                    hint="continue it with `resume=True`, or start again with `force=True`",
                )
            super().__init__(partial, header, shard_rows=shard_rows, resume=resume)
            self._lock: ExitStack | None = stack.pop_all()

    def __enter__(self) -> VectorSetWriter:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._lock is not None and not (self.resumable and self.sealed):
            self.remove()
        self._release()

    def append(self, batch: Batch) -> None:
        """Append a batch; raises DataError naming the first row that holds NaN or infinity."""
        for table, vectors in checked([batch], self.meta.dimension):
            self.append_table(stored(table, vectors, self.meta))

    def complete(self) -> VectorSet:
        """Seal the last shard and write the meta file.

        The set is then complete, but still in its unfinished folder, and vectors that become int8 codes are
        float32.
        """
        spooled = self.meta.holds_codes and self.meta.codes is None
        write_meta(self.folder, self.meta.decoded() if spooled else self.meta, self.close())
        return VectorSet.open(self.folder)

    def finish(self) -> VectorSet:
        """Complete the set and put the folder in place."""
        made = self.complete()
        if made.meta.dtype != self.meta.dtype:
            code_int8(made, self.path)
            discard(self.folder)
        else:
            put_in_place(self.folder, self.path)
            drop_journal(self.path)
        self._release()
        return VectorSet.open(self.path)

    def remove(self) -> None:
        """Remove the unfinished folder, once its content is stored elsewhere."""
        discard(self.folder)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _shape(self, table: Any) -> Any:
        return kept(table, self.meta)


def kept(table: Any, meta: VectorMeta) -> Any:
    """Return a table, without its texts when `meta` keeps none."""
    return table if meta.has_text or "text" not in table.schema.names else table.drop_columns(["text"])


def stored(table: Any, vectors: NDArray[np.float32], meta: VectorMeta) -> Any:
    """Return a table with a column of vectors appended, as numbers or codes by `meta`; vectors that become
    int8 codes stay float32 until the ranges are known.
    """
    if meta.codes is not None:
        return with_codes(table, vectors, meta.codes)
    return with_vectors(table, vectors, "float16" if meta.dtype == "float16" else "float32")


def code_int8(source: VectorSet, path: Path) -> VectorSet:
    """Write a set of floats as int8 codes at `path`, whole or not at all.

    The set is read twice, one shard at a time: for the ranges of its dimensions, then for the codes.
    """
    ranges = calibrate(source.vectors(shard) for shard in range(len(source.shards)))
    meta = replace(source.meta, dtype="int8", ranges=ranges)
    with whole_folder(path) as folder:
        shards = []
        for place, shard in enumerate(source.shards):
            table = source._table(place)
            coded = with_codes(table.drop_columns([VECTOR]), source.vectors(place), ranges)
            size, digest = write_table(folder / shard.file, coded)
            shards.append(replace(shard, bytes=size, sha256=digest))
        write_meta(folder, meta, shards)
    return VectorSet.open(path)


def partial_folder(path: Path) -> Path:
    """Return the folder of an unfinished vector set for `path`."""
    return path.with_name(f"{path.name}.partial")


def _refuse_strangers(partial: Path) -> None:
    ours = (META, MAP, JOURNAL, "part-")
    if partial.is_dir() and not all(file.name.lstrip(".").startswith(ours) for file in partial.iterdir()):
        raise ExistsError(
            "is a folder that contains other files", where=str(partial), hint="choose another name"
        )


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
