"""Hubness: rows that are among the nearest neighbours of very many others, and rows that are of none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.encoder import unit_length
from embedkit.evaluation.neighbours import TIE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_BLOCK_ROWS = 512  # whose cosines to all rows are held at a time


class Hubness(NamedTuple):
    """How unevenly `rows` rows occur among the `k` nearest of each other.

    `skewness` is 0 where all occur equally often, above 1 where there are hubs; `antihubs` is the share of
    rows that occur never; `largest` is the most that one occurs, where `k` is the mean.
    """

    skewness: float
    antihubs: float
    largest: float
    rows: int
    k: int


def hubness(rows: Float32, k: int) -> Hubness | None:
    """Return the hubness of rows `(rows, dim)` by cosine; None for `k` rows or fewer.

    (Radovanovic, Nanopoulos and Ivanovic 2010: the skewness of the k-occurrences, section 2.)
    """
    if len(rows) <= k:
        return None
    counts = occurrences(rows, k)
    return Hubness(skewness(counts), float(np.mean(counts == 0)), float(counts.max()), len(rows), k)


def occurrences(rows: Float32, k: int) -> Float64:
    """Return how often each row is among the `k` nearest others of a row, `(rows,)`, by cosine.

    Rows that tie for the last places share them equally, which is the mean over all orders of ties.
    """
    counts = np.zeros(len(rows))
    for near in _cosines(unit_length(rows)):
        least = np.partition(near, -k, axis=1)[:, -k, None]  # the k-th largest
        above, tied = near > least + TIE, np.abs(near - least) <= TIE
        share = (k - above.sum(axis=1)) / tied.sum(axis=1)
        counts += above.sum(axis=0) + share @ tied
    return counts


def skewness(values: Float64) -> float:
    """Return the third standardised moment of values `(any,)`; 0 where they are constant."""
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    if variance <= np.finfo(np.float32).eps ** 2 * float(np.mean(values**2)):
        return 0.0
    return float(np.mean(centred**3) / variance**1.5)


def _cosines(unit: Float32) -> Iterator[Float32]:
    """Yield the cosines of a block of rows to all, `(block, rows)`; to themselves, minus infinity."""
    for start in range(0, len(unit), _BLOCK_ROWS):
        block = unit[start : start + _BLOCK_ROWS] @ unit.T
        places = np.arange(len(block))
        block[places, start + places] = -np.inf
        yield block
