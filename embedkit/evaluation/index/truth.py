"""Find the exact neighbours of queries, with the rows that tie with the last of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.nearest import nearest

# a function that returns blocks of row numbers and of vectors in the form used for comparison
Corpus = Callable[[], Iterable[tuple[Rows, Floats]]]

TIED = 50  # ranks after the k-th that are checked for scores equal to the k-th
EQUAL = 1e-6  # scores that differ by at most this count as equal


class ExactNeighbours(NamedTuple):
    """Queries `(queries, dimension)`, and per query the rows whose scores reach its `k`-th best score: `k`
    rows and the rows that tie with the last; -1 fills the rest. `copies` are the copies of `Drawn`.
    """

    queries: Floats
    rows: Rows
    first: Rows  # (queries, 1 + ties): the rows for k = 1
    k: int
    copies: Rows

    @property
    def searched(self) -> int:
        """The number of rows to search for so that `k` remain without the near-copies."""
        return self.k + int(self.copies.shape[1])

    def recalls(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the recall of the nearest 1 and of the nearest `k`, each `(queries,)`, for the hits `rows`,
        `(queries, found)`, best first.
        """
        counted = _taken(rows, _without(rows, self.copies)[0])[:, : self.k]
        return _found(counted[:, :1], self.first), _found(counted, self.rows) / self.k


def find_truth(queries: Floats, corpus: Corpus, k: int, copies: Rows | None = None) -> ExactNeighbours:
    """Return the exact neighbours: per query, the rows with the `k` best inner products, and their ties.

    The rows in `copies` are left out, unless fewer than `k` rows would remain for some query.
    """
    none = np.empty((len(queries), 0), np.int64)
    copies = none if copies is None else copies
    scores, rows = nearest(queries, corpus(), k + TIED + copies.shape[1])
    k = min(k, scores.shape[1])
    order, left = _without(rows, copies)
    if left.min() < k:
        order, copies = np.arange(rows.shape[1])[None], none
    else:
        scores = np.where(np.arange(rows.shape[1]) < left[:, None], _taken(scores, order), -np.inf)
    rows = _taken(rows, order)
    all_of, first = (np.where(_ties(scores, n), rows, -1) for n in (k, 1))
    return ExactNeighbours(queries, all_of, first, k, copies)


def _without(rows: Rows, copies: Rows) -> tuple[Rows, Rows]:
    """Return the order `(queries, found)` that puts rows among `copies` of the same query last, and the
    number of rows before them, `(queries,)`.
    """
    among = np.zeros(rows.shape, np.bool_)
    for column in copies.T:
        among |= (rows == column[:, None]) & (rows >= 0)
    return np.argsort(among, axis=1, kind="stable"), (~among & (rows >= 0)).sum(axis=1)


def _taken(values: Any, order: Rows) -> Any:
    return np.take_along_axis(values, np.broadcast_to(order, (len(values), order.shape[1])), axis=1)


def _ties(scores: Floats, k: int) -> NDArray[np.bool_]:
    """Return a mask of the scores `(queries, found)`, best first, that reach the `k`-th."""
    least = scores[:, k - 1 : k]
    return scores >= least - EQUAL * np.maximum(1, np.abs(least))


def _found(rows: Rows, true: Rows) -> NDArray[np.float64]:
    """Return, per query, how many of `rows` are among the rows `true`, `(queries,)`."""
    pairs = zip(rows, true, strict=True)
    return np.array([(np.isin(found, wanted) & (found >= 0)).sum() for found, wanted in pairs], np.float64)
