"""Find rows of an index that are near an earlier row: an exact join; bounds exclude nearly all pairs.

Two bounds hold for unit vectors at an angle of at most `theta`, and no pair within it is lost:

- Angles to a third vector differ by at most `theta` (the triangle inequality of angles; Schubert 2021, "A
  Triangle Inequality for Cosine Similarity"). If each row is in the list of its nearest centroid, a row has
  neighbours only in lists whose centroid is at most 2 `theta` farther from it than its own, and there only
  among rows about as far from that centroid as itself.
- An inner product is at most the inner product over a few dimensions plus the product of the lengths of both
  remainders (Cauchy-Schwarz; Li, Chan, Yiu and Mamoulis 2017, "FEXIPRO", section 4). Rows rotated to
  principal axes, with the length of the remainder as one more dimension, are short unit vectors whose angles
  are never larger.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.store import Index

COLUMNS = 48  # principal axes
_SAMPLE_ROWS = 16384
_BLOCK_ROWS = 4096
_TOGETHER = 128  # rows at similar angles to a centroid, compared with a list together
_ROUNDING = 1e-5  # rounding error of a cosine between short vectors in float32
_ANGLE_ROUNDING = 5e-3  # radians; rounding error of the angle of such a cosine near 1


class Nearest(NamedTuple):
    """For each row, its best cosine to an earlier row, and the first row with that cosine."""

    cosines: Floats
    rows: Rows


class Lists(NamedTuple):
    """Rows around centroids: the rows of each list and their angles to its centroid, nearest first."""

    centroids: Floats
    rows: list[Rows]
    angles: list[Floats]


def nearest_before(index: Index, cosine: float) -> Nearest:
    """Return, for each stored row of a flat index by cosine, the nearest earlier row if their cosine reaches
    `cosine`; otherwise the cosine is -inf. Memory holds two blocks and about 30 bytes per row.
    """
    best = Nearest(np.full(index.stored_rows, -np.inf, np.float32), np.zeros(index.stored_rows, np.int64))
    short = shortened(index)
    lists = around_centroids(short)
    theta = float(np.arccos(np.clip(cosine - _ROUNDING, -1, 1))) + _ANGLE_ROUNDING
    for rows in _blocks(len(short)):
        for queries, others in _within(short, rows, lists, theta):
            hits = short[queries] @ short[others].T >= cosine - _ROUNDING
            hits &= others < queries[:, None]
            if hits.any():
                _compare(index, queries[hits.any(axis=1)], np.sort(others[hits.any(axis=0)]), best)
    return best


def shortened(index: Index) -> Floats:
    """Return short unit vectors of all rows, `(stored_rows, columns)`, in a temporary file; their inner
    products are never smaller than the inner products of the rows.
    """
    chance = np.random.default_rng(0)
    sample = index.vectors(np.sort(chance.permutation(index.stored_rows)[:_SAMPLE_ROWS])).astype(float)
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :COLUMNS].astype(np.float32)
    shape = (index.stored_rows, axes.shape[1] + 1)
    with tempfile.TemporaryFile() as file:  # the mapping stays valid
        short = np.memmap(file, np.float32, "w+", shape=shape)
    for rows in _blocks(len(short)):
        turned = index.vectors(rows) @ axes
        left = np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", turned, turned), 0))
        short[rows] = np.concatenate([turned, left[:, None]], axis=1)
    return short


def around_centroids(short: Floats) -> Lists:
    """Divide rows into 2 sqrt(rows) lists by nearest centroid; k-means on a sample gives the centroids."""
    import faiss

    count = max(1, round(2 * len(short) ** 0.5))
    chance = np.random.default_rng(1)
    sample = short[np.sort(chance.permutation(len(short))[: 64 * count])]
    means = faiss.Kmeans(short.shape[1], count, niter=8, spherical=True, seed=1, min_points_per_centroid=1)
    means.train(sample)
    centroids = np.asarray(means.centroids, dtype=np.float32)
    own, far = np.empty(len(short), np.int64), np.empty(len(short), np.float32)
    for rows in _blocks(len(short)):
        angles = _angles(short[rows], centroids)
        own[rows], far[rows] = angles.argmin(axis=1), angles.min(axis=1)
    order = np.lexsort((far, own))
    ends = np.searchsorted(own[order], np.arange(1, count))
    return Lists(centroids, np.split(order, ends), np.split(far[order], ends))


def _blocks(rows: int) -> Iterator[Rows]:
    """Yield row numbers in blocks."""
    for start in range(0, rows, _BLOCK_ROWS):
        yield np.arange(start, min(start + _BLOCK_ROWS, rows))


def _within(short: Floats, rows: Rows, lists: Lists, theta: float) -> Iterator[tuple[Rows, Rows]]:
    """Yield some of `rows`, with rows of one list of which any might be within `theta` of any of them."""
    angles = _angles(short[rows], lists.centroids)
    limits = angles.min(axis=1) + 2 * theta
    for number, (members, far) in enumerate(zip(lists.rows, lists.angles, strict=True)):
        near = np.flatnonzero(angles[:, number] <= limits)
        near = near[np.argsort(angles[near, number])]
        for start in range(0, len(near), _TOGETHER):
            some = near[start : start + _TOGETHER]
            least, most = angles[some[[0, -1]], number]
            found = members[np.searchsorted(far, least - theta) : np.searchsorted(far, most + theta, "right")]
            found = found[found < rows[-1]]
            if len(found):
                yield rows[some], found


def _compare(index: Index, queries: Rows, others: Rows, best: Nearest) -> None:
    """Update `best` with those of `others`, which are in order, that are nearer to a query than its current
    best.
    """
    cosines = index.vectors(queries) @ index.vectors(others).T
    cosines[others >= queries[:, None]] = -np.inf
    places = cosines.argmax(axis=1)
    found = cosines[np.arange(len(queries)), places]
    better = found > best.cosines[queries]
    better |= (found == best.cosines[queries]) & (others[places] < best.rows[queries])
    best.cosines[queries[better]] = found[better]
    best.rows[queries[better]] = others[places][better]


def _angles(rows: Floats, centroids: Floats) -> Floats:
    """Return the angles between unit vectors, `(rows, centroids)`."""
    return np.asarray(np.arccos(np.clip(rows @ centroids.T, -1, 1)), dtype=np.float32)
