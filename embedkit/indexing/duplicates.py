"""Near-duplicates in a corpus: an exact comparison of every row with the rows before it, vectors on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from embedkit.errors import UsageError
from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.nearest import merged
from embedkit.indexing.similarity_join import nearest_before
from embedkit.indexing.store import Index

JOINED_ROWS = 20_000  # minimum rows at which bounds save more work than they cost
_QUERIES, _ROWS = 1024, 16384  # sizes of the blocks that are compared
_ROUNDING = 1e-6  # rounding error of a cosine in float32, so that copies reach a threshold of 1


class Duplicate(NamedTuple):
    """A document, the id of the nearest document before it, and their cosine."""

    document: dict[str, Any]
    original: str
    cosine: float


def near_duplicates(index: Index, cosine: float, *, exhaustive: bool | None = None) -> Iterator[Duplicate]:
    """Yield, in order, documents of a flat index whose cosine to an earlier document is `cosine` or more,
    with the nearest such document (the first of equals).

    An `exhaustive` search compares all pairs, block by block: its work grows with the square of the rows. The
    other search finds the same pairs, but skips pairs that bounds prove to be apart (`similarity_join`); it
    is the default from 20,000 rows on.
    """
    require_cosine(cosine)
    if exhaustive is None:
        exhaustive = index.stored_rows < JOINED_ROWS
    for rows, scores, originals in _exhaustive(index) if exhaustive else _joined(index, cosine):
        for place in np.flatnonzero(scores >= cosine - _ROUNDING):
            document, original = index.take(np.array([rows[place], originals[place]]))
            yield Duplicate(document, original["id"], float(scores[place]))


def require_cosine(cosine: float) -> None:
    """Raise UsageError for a threshold outside (0, 1]."""
    if not 0 < cosine <= 1:
        raise UsageError(f"must be a cosine above 0 and at most 1, got {cosine:g}", where="`threshold`")


def _joined(index: Index, cosine: float) -> Iterator[tuple[Rows, Floats, Rows]]:
    best = nearest_before(index, cosine)
    yield np.arange(index.stored_rows), best.cosines, best.rows


def _exhaustive(index: Index) -> Iterator[tuple[Rows, Floats, Rows]]:
    """Yield rows, each row's best cosine to an earlier row, and that earlier row."""
    for start in range(0, index.stored_rows, _QUERIES):
        rows = np.arange(start, min(start + _QUERIES, index.stored_rows))
        yield rows, *_nearest_before(index, rows)


def _nearest_before(index: Index, rows: Rows) -> tuple[Floats, Rows]:
    """Return, for each of the consecutive `rows`, its best cosine to an earlier row, and that earlier row."""
    queries = index.vectors(rows)
    best = (np.full((len(rows), 1), -np.inf, np.float32), np.zeros((len(rows), 1), np.int64))
    for start in range(0, int(rows[-1]), _ROWS):
        others = np.arange(start, min(start + _ROWS, int(rows[-1])))
        scores = queries @ index.vectors(others).T
        scores[others[None, :] >= rows[:, None]] = -np.inf
        places = scores.argmax(axis=1)[:, None]
        found = (np.take_along_axis(scores, places, axis=1), others[places])
        best = merged([best, found], np.zeros(2, np.int64), 1, len(rows))
    return best[0][:, 0], best[1][:, 0]
