"""The rows of all segments, numbered one segment after the other; deleted rows keep their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors.arrow_arrays import strings
from embedkit.indexing.kind import Floats, Mask, Rows
from embedkit.indexing.nearest import merged
from embedkit.indexing.segment import Segment


@dataclass(frozen=True)
class NumberedRows:
    """The rows of some segments, oldest first, found by their numbers."""

    segments: tuple[Segment, ...]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Return the number of the first row of each segment."""
        return np.cumsum([0, *(segment.rows for segment in self.segments)])[:-1]

    def __len__(self) -> int:
        return sum(segment.rows for segment in self.segments)

    def best(self, prepared: Floats, k: int, passing: Mask | None, places: range) -> tuple[Floats, Rows]:
        """Return scores and numbers of the best `k` rows, `(queries, k)`, over the segments at `places`.

        Only rows that are not deleted and pass, `passing` being `(len(self),)`, are returned.
        """
        starts, found = self.starts[places.start : places.stop], []
        for segment, start in zip(self.segments[places.start : places.stop], starts, strict=True):
            allowed = None if passing is None else passing[start : start + segment.rows]
            found.append(segment.search(prepared, k, allowed))
        return merged(found, starts, k, len(prepared))

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents of some rows, in the order of `rows`; `columns` limits their fields."""
        places = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[dict[str, Any]] = [{} for _ in rows]
        for place in sorted(set(places.tolist())):
            wanted = np.flatnonzero(places == place)
            documents = self.segments[place].take(rows[wanted] - self.starts[place], columns)
            for at, document in zip(wanted, documents, strict=True):
                found[at] = document
        return found

    def find(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the numbers of rows by their ids; ids that are missing or deleted are left out."""
        wanted = strings(list(ids))
        rows = [part.find(wanted) + start for part, start in zip(self.segments, self.starts, strict=True)]
        found = np.concatenate([np.empty(0, np.int64), *rows])
        names = (document["id"] for document in self.take(found, ["id"]))
        return dict(zip(names, found.tolist(), strict=True))

    def vectors(self, rows: Rows, dimension: int) -> Floats:
        """Return the stored vectors of some rows, `(len(rows), dimension)`."""
        if len(self.segments) == 1:
            return self.segments[0].vectors(rows, dimension)
        vectors = np.empty((len(rows), dimension), np.float32)
        places = np.searchsorted(self.starts, rows, side="right") - 1
        for place in sorted(set(places.tolist())):
            wanted = places == place
            local = rows[wanted] - self.starts[place]
            vectors[wanted] = self.segments[place].vectors(local, dimension)
        return vectors
