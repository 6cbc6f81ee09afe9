"""Hits in a ranking with ties: what is expected over all orders of what ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Places = NDArray[np.int64]


class Ties(NamedTuple):
    """The scores that hits have, best first, and how the ranking lies about each, all `(scores,)`."""

    scores: Float32
    above: Places  # texts that score more
    tied: Places  # texts that score the same, hits among them
    hits: Places

    @property
    def before(self) -> Places:
        """Hits that score more."""
        return np.cumsum(self.hits) - self.hits


def ties_of(scores: Float32, relevant: Places) -> Ties:
    """Return the ties of hits, the rows `relevant` of the texts' scores `(texts,)`."""
    ordered, texts = np.sort(scores), len(scores)
    own, hits = np.unique(scores[relevant], return_counts=True)
    own, hits = own[::-1], hits[::-1]  # best first
    above = texts - np.searchsorted(ordered, own, "right")
    tied = texts - np.searchsorted(ordered, own, "left") - above
    return Ties(own, above, tied, hits)


def chance_of_hit(k: int, above: int, tied: int, hits: int) -> float:
    """Return the chance of a hit in the first k, where `hits` of the `tied` texts behind `above` are ones."""
    drawn = np.arange(min(max(k - above, 0), tied))
    return float(1 - np.prod((tied - hits - drawn) / (tied - drawn)))


def precisions(above: Places, tied: Places, hits: Places, before: Places) -> Float64:
    """Return the expected sum of the precisions at the hits of each group of tied texts, `(groups,)`.

    The i-th of n texts that tie behind `above` others is a hit with chance hits / n, and then `before` and (i
    - 1)(hits - 1)/(n - 1) hits are expected before it. Summed over i, with H the harmonic numbers.
    """
    steps = _harmonic(above + tied) - _harmonic(above)
    beside = (hits - 1) / np.maximum(tied - 1, 1) * (tied - (above + 1) * steps)
    return np.asarray(hits / np.maximum(tied, 1) * ((before + 1) * steps + beside), dtype=np.float64)


def _harmonic(n: Places) -> Float64:
    """Return 1 + 1/2 + ... + 1/n."""
    from scipy.special import digamma

    return np.asarray(digamma(n + 1.0) + np.euler_gamma)
