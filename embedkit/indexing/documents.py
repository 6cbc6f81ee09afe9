"""The documents of a segment: Arrow files, mapped on first use, and validated before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors import tables
from embedkit.data.vectors.shards import Shard, check_shard, read_table
from embedkit.errors import FormatError
from embedkit.indexing.kind import Rows

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENTS = "documents"
_FEW = 16  # maximum rows that are validated one by one; for more, the whole file is validated


@dataclass(frozen=True)
class Documents:
    """Documents in the order of their rows, in files of several thousand each.

    Arrow reads beyond the end of memory if lengths in a file are damaged: so values are validated before they
    are read, one by one or all values of their file.
    """

    folder: Path
    shards: tuple[Shard, ...]

    def tables(self) -> Iterator[pa.Table]:
        """Yield all documents, one table per file; raises FormatError when one is damaged."""
        for place in range(len(self.shards)):
            yield self._sound(place)

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents of some rows as Python values, in the order of `rows`; only the files of these
        rows are read. Raises FormatError when one is damaged.
        """
        places = np.searchsorted(self._ends, rows, side="right")
        found: list[dict[str, Any]] = [{} for _ in rows]
        for place in sorted(set(places.tolist())):  # `np.unique` imports numpy.ma
            wanted = np.flatnonzero(places == place)
            local = (rows[wanted] - (self._ends[place] - self.shards[place].rows)).tolist()
            for at, document in zip(wanted, self._read(place, local, columns), strict=True):
                found[at] = document
        return found

    def verify(self) -> None:
        """Raise FormatError when a file's size or checksum differs from what was written."""
        for shard in self.shards:
            check_shard(self.folder, shard)

    def _read(self, place: int, local: list[int], columns: list[str] | None) -> list[dict[str, object]]:
        one_by_one = len(local) <= _FEW and place not in self._validated
        table = self._table(place) if one_by_one else self._sound(place)
        with self._damage_of(place):
            for row in local if one_by_one else []:
                table.slice(row, 1).validate(full=True)
            return tables.rows_at(table, local, columns)

    def _sound(self, place: int) -> pa.Table:
        """Return the documents of a file after validating all of them."""
        if place not in self._validated:
            with self._damage_of(place):
                self._table(place).validate(full=True)
            self._validated.add(place)
        return self._table(place)

    def _table(self, place: int) -> pa.Table:
        if place not in self._open:
            self._open[place] = read_table(self.folder / self.shards[place].file)
        return self._open[place]

    @contextmanager
    def _damage_of(self, place: int) -> Iterator[None]:
        """Raise FormatError naming the file when the block cannot read it."""
        try:
            yield
        except (ValueError, SystemError) as error:
            where = str(self.folder / self.shards[place].file)
            raise FormatError(
                f"is damaged: {error}", where=where, hint="check the index with embedkit index verify"
            ) from None

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([shard.rows for shard in self.shards])

    @cached_property
    def _open(self) -> dict[int, Any]:
        return {}

    @cached_property
    def _validated(self) -> set[int]:
        return set()
