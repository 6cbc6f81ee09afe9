"""Writing of a vector set: into a folder next to its path, which is put in place when it is finished."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.atomic import discard, hold, put_in_place, whole_folder
from embedkit.data.vectors.codes import calibrate
from embedkit.data.vectors.columns import VECTOR, with_codes, with_vectors
from embedkit.data.vectors.meta import FORMAT, MAP, META, Batch, VectorMeta, write_meta
from embedkit.data.vectors.shard_writing import JOURNAL, ShardWriter, drop_journal
from embedkit.data.vectors.shards import SHARD_ROWS, write_table
from embedkit.data.vectors.vector_set import VectorSet, checked
from embedkit.errors import ExistsError

if TYPE_CHECKING:
    import pyarrow as pa


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

    def _shape(self, table: pa.Table) -> pa.Table:
        return kept(table, self.meta)


def kept(table: pa.Table, meta: VectorMeta) -> pa.Table:
    """Return a table, without its texts when `meta` keeps none."""
    return table if meta.has_text or "text" not in table.schema.names else table.drop_columns(["text"])


def stored(table: pa.Table, vectors: NDArray[np.float32], meta: VectorMeta) -> pa.Table:
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
            table = source.table(place)
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
