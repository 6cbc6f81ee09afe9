"""Hubness: measure how unevenly rows occur among the nearest neighbours of other rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float32, Float64
from embedkit.embedding.encoder import unit_length
from embedkit.evaluation.neighbours import TIE

_BLOCK_ROWS = 512  # rows whose cosines to all rows are held at a time


class Hubness(NamedTuple):
    """How unevenly `rows` rows occur among the `k` nearest neighbours of each other.

    `skewness` is 0 when all rows occur equally often, and above 1 when there are hubs; `antihubs` is the
    share of rows that never occur; `largest` is the largest number of occurrences of a row (the mean is `k`).
    """

    skewness: float
    antihubs: float
    largest: float
    rows: int
    k: int


def hubness(rows: Float32, k: int) -> Hubness | None:
    """Return the hubness of rows `(rows, dim)` by cosine; None for `k` rows or fewer.

    Hubness is the skewness of the k-occurrences (Radovanovic, Nanopoulos and Ivanovic 2010, section 2).
    """
    if len(rows) <= k:
        return None
    counts = occurrences(rows, k)
    return Hubness(skewness(counts), float(np.mean(counts == 0)), float(counts.max()), len(rows), k)


def occurrences(rows: Float32, k: int) -> Float64:
    """Return how often each row is among the `k` nearest neighbours of other rows by cosine, `(rows,)`.

    Rows that tie for the last places share them equally, which is the mean over all orders of the ties.
    """
    counts = np.zeros(len(rows))
    for near in _cosines(unit_length(rows)):
        least = np.partition(near, -k, axis=1)[:, -k, None]  # the k-th largest
        above, tied = near > least + TIE, np.abs(near - least) <= TIE
        share = (k - above.sum(axis=1)) / tied.sum(axis=1)
        counts += above.sum(axis=0) + share @ tied
    return counts


def skewness(values: Float64) -> float:
    """Return the third standardised moment of values `(any,)`; 0 when they are constant."""
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    if variance <= np.finfo(np.float32).eps ** 2 * float(np.mean(values**2)):
        return 0.0
    return float(np.mean(centred**3) / variance**1.5)


def _cosines(unit: Float32) -> Iterator[Float32]:
    """Yield the cosines of a block of rows to all rows, `(block, rows)`; a row's own is minus infinity."""
    for start in range(0, len(unit), _BLOCK_ROWS):
        block = unit[start : start + _BLOCK_ROWS] @ unit.T
        places = np.arange(len(block))
        block[places, start + places] = -np.inf
        yield block
