"""Measure how far two vector sets of the same rows agree on nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32, Float64
from embedkit.embedding.encoder import unit_length
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import Estimate, resampled_means, share_estimate
from embedkit.evaluation.jackknife import with_effects
from embedkit.evaluation.neighbours import TIE, nearest

Ids = NDArray[np.int64]
Kept = NDArray[np.bool_]


class Agreement(NamedTuple):
    """The share of the `k` nearest neighbours that two sets have in common, as means over `rows` rows."""

    overlap: Estimate  # common neighbours / k
    jaccard: Estimate  # common neighbours / neighbours in either set
    rows: int
    k: int


class _Near(NamedTuple):
    """The nearest neighbours of each row by one set, and their cosines by both sets, all `(rows, width)`."""

    ids: Ids
    own: Float32  # cosines by this set
    other: Float32  # cosines by the other set


def agreement(first: Float32, second: Float32, k: int, *, resamples: int, seed: int) -> Agreement:
    """Compare the nearest neighbours by two vector sets of the same rows, each `(rows, dim)`.

    Intervals resample rows; a drawn row counts with its own neighbours and as a neighbour of others. Raises
    DataError for `k` rows or fewer.
    """
    if len(first) <= k:
        raise DataError(f"{k} neighbours need at least {k + 1} rows in both sets, got {len(first)}")
    near = _nearest(unit_length(first), unit_length(second), min(k + 1, len(first) - 1))
    shares = _shares(*near, *_first(k, near))
    values = with_effects(shares, *_effects(*near, shares, k))
    overlap, jaccard = (
        share_estimate(each.mean(), resampled_means(each, resamples, seed)) for each in values
    )
    return Agreement(overlap, jaccard, len(first), k)


def common(first: Float32, second: Float32, k: int) -> Float64:
    """Return the share of each row's `k` nearest that both sets have in common, `(rows,)`.

    Where rows tie, any of them is right: a neighbour by one set counts in the other set when it is as near
    there as the k-th. The result is the mean of the two directions of counting.
    """
    near = _nearest(unit_length(first), unit_length(second), k)
    overlap, _ = _shares(*near, *_first(k, near))
    return np.asarray(overlap)


def _first(k: int, near: tuple[_Near, _Near]) -> list[Kept]:
    return [np.broadcast_to(np.arange(each.ids.shape[1]) < k, each.ids.shape) for each in near]


def _nearest(one: Float32, two: Float32, width: int) -> tuple[_Near, _Near]:
    by_one, by_two = (nearest(unit, len(unit), width) for unit in (one, two))
    first = _Near(by_one, _cosines(one, by_one), _cosines(two, by_one))
    return first, _Near(by_two, _cosines(two, by_two), _cosines(one, by_two))


def _shares(one: _Near, two: _Near, kept_one: Kept, kept_two: Kept) -> Float64:
    """Return the overlap and Jaccard index of the kept neighbours per row, `(2, rows)`."""
    overlap = (_right(one, two, kept_one, kept_two) + _right(two, one, kept_two, kept_one)) / 2
    return np.stack([overlap, overlap / (2 - overlap)])


def _right(one: _Near, two: _Near, kept_one: Kept, kept_two: Kept) -> Float64:
    """Return, per row, the share of kept neighbours by `two` that are as near by `one` as its farthest."""
    least = np.min(one.own, axis=1, where=kept_one, initial=np.inf) - TIE
    return np.asarray(np.mean(two.other >= least[:, None], axis=1, where=kept_two), dtype=np.float64)


def _effects(one: _Near, two: _Near, shares: Float64, k: int) -> tuple[Float64, Float64]:
    """Return, per row, the loss in the shares of all other rows when the row is removed, `(2, rows)`, and the
    sum of the squared single losses, `(2,)`.

    Where the removed row was among the nearest, the next nearest replaces it, if there is one.
    """
    width = one.ids.shape[1]
    sums, squares = np.zeros_like(shares), np.zeros(len(shares))
    for near, other, first in ((one, two, True), (two, one, False)) if width > k else ():
        for column in range(k):
            gone = near.ids[:, column]
            kept, found = np.arange(width) != column, other.ids == gone[:, None]
            kept_other = np.where(found.any(axis=1)[:, None], ~found, np.arange(width) < k)
            losses = shares - _shares(near, other, np.broadcast_to(kept, found.shape), kept_other)
            if not first:  # neighbours by both were counted with the first
                losses[:, found[:, :k].any(axis=1)] = 0
            for total, loss in zip(sums, losses, strict=True):
                np.add.at(total, gone, loss)
            squares += np.einsum("ij,ij->i", losses, losses)
    return sums, squares


def _cosines(unit: Float32, places: Ids) -> Float32:
    return np.stack([np.einsum("ij,ij->i", unit, unit[column]) for column in places.T], axis=1)
