"""The nearest rows of several parts, merged; and by comparison with every row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from embedkit.indexing.kind import Floats, Rows

FEW = 20  # queries from which on FAISS multiplies matrices


def merged(
    found: list[tuple[Floats, Rows]], starts: NDArray[np.int64], k: int, queries: int
) -> tuple[Floats, Rows]:
    """Return the best `k` of the hits of several parts, whose rows begin at `starts`; rows with equal scores
    are in row order.
    """
    if len(found) == 1 and _is_ranked(found[0][0]):
        return found[0][0][:, :k], found[0][1][:, :k] + starts[0]
    none = (np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64))
    scores = np.concatenate([none[0], *(part for part, _ in found)], axis=1)
    parts = (part + start for (_, part), start in zip(found, starts, strict=True))
    rows = np.concatenate([none[1], *parts], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _is_ranked(scores: Floats) -> bool:
    """Return whether the scores of each row fall, so that no two are equal."""
    return bool((scores[:, 1:] < scores[:, :-1]).all())


def nearest(queries: Floats, blocks: Iterable[tuple[Rows, Floats]], k: int) -> tuple[Floats, Rows]:
    """Return the `k` best inner products `(queries, k)`, or fewer if there are fewer rows, and their rows,
    best first; rows with equal vectors are in row order.

    `blocks` are row numbers with their vectors `(rows, dimension)`, and are read once. FAISS compares many
    queries; for few, importing it would take longer than the work.
    """
    compare = _compare_few if len(queries) < FEW else _compare_many
    queries = np.ascontiguousarray(queries)
    best = (np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    for rows, block in blocks:
        least, block = min(k, len(rows)), np.ascontiguousarray(block)
        scores, places = compare(queries, block, least)
        best = merged([best, (scores, rows[places])], np.zeros(2, np.int64), k, len(queries))
    return best


def _compare_many(queries: Floats, block: Floats, k: int) -> tuple[Floats, Rows]:
    import faiss

    return faiss.knn(queries, block, k, metric=faiss.METRIC_INNER_PRODUCT)


def _compare_few(queries: Floats, block: Floats, k: int) -> tuple[Floats, Rows]:
    """Return the `k` best inner products and their places in the block, `(queries, k)`.

    `einsum` sums every row in the same order, so equal rows have equal scores; a matrix product does not.
    """
    scores = [np.einsum("rd,d->r", block, query) for query in queries]
    places = [_first(line, k) for line in scores]
    best = [line[first] for line, first in zip(scores, places, strict=True)]
    return np.stack(best), np.stack(places)


def _first(scores: Floats, k: int) -> Rows:
    """Return the places of the `k` largest scores `(rows,)`, equal ones in order; NaN is the least."""
    least = np.partition(scores, -k)[-k]  # NaN counts as the largest here, hence the negation
    places = np.flatnonzero(~(scores < least))
    return places[np.argsort(-scores[places], kind="stable")[:k]]
