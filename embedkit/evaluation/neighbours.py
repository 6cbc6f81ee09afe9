"""Find exact nearest neighbours by cosine, and measure how many of them survive a change of the vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32, Float64
from embedkit.embedding.encoder import unit_length

Ids = NDArray[np.int64]

TIE = 1e-6  # cosines that differ by less count as equal


def nearest(rows: Float32, queries: int, k: int) -> Ids:
    """Return the row numbers `(queries, k)` of the `k` nearest other rows by cosine, for the first `queries`
    rows.

    `rows` `(rows, dim)` must have more than `k` rows.
    """
    import faiss

    unit = unit_length(np.ascontiguousarray(rows))
    _, found = faiss.knn(unit[:queries], unit, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    others = found != np.arange(queries)[:, None]
    others[others.all(axis=1), k] = False  # more than k rows equal this one, and it was not found itself
    return np.asarray(found[others].reshape(queries, k), dtype=np.int64)


class SampleNeighbours:
    """The nearest neighbours by the full vectors: the reference for every change of the vectors."""

    def __init__(self, rows: Float32, queries: int, k: int) -> None:
        self.queries, self.k = queries, k
        self._unit = unit_length(rows)
        self._threshold = self._cosines(nearest(rows, queries, k)).min(axis=1) - TIE  # of the k-th

    def overlap(self, changed: Float32) -> Float64:
        """Return the share of each query's `k` nearest by `changed` that is right, `(queries,)`.

        A row is right when its full vector is as near as the k-th nearest. The order of equally near rows is
        arbitrary and does not count.
        """
        found = self._cosines(nearest(changed, self.queries, self.k))
        return np.asarray((found >= self._threshold[:, None]).mean(axis=1), dtype=np.float64)

    def _cosines(self, ids: Ids) -> Float32:
        """Return the cosines, by the full vectors, of rows `ids` `(queries, k)` to their queries."""
        return np.asarray(np.einsum("qd,qkd->qk", self._unit[: self.queries], self._unit[ids]))
