"""Compute expected values of a ranking with ties, over all orders of the tied texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32, Float64

Places = NDArray[np.int64]


class Ties(NamedTuple):
    """The distinct scores of hits, best first, and counts of texts per score; all arrays are `(scores,)`."""

    scores: Float32
    above: Places  # number of texts with a higher score
    tied: Places  # number of texts with this score, hits included
    hits: Places  # number of hits with this score

    @property
    def before(self) -> Places:
        """The number of hits with a higher score."""
        return np.cumsum(self.hits) - self.hits


def ties_of(scores: Float32, relevant: Places) -> Ties:
    """Return the ties of the hits, which are the rows `relevant` of `scores` `(texts,)`."""
    ordered, texts = np.sort(scores), len(scores)
    own, hits = np.unique(scores[relevant], return_counts=True)
    own, hits = own[::-1], hits[::-1]  # best first
    above = texts - np.searchsorted(ordered, own, "right")
    tied = texts - np.searchsorted(ordered, own, "left") - above
    return Ties(own, above, tied, hits)


def chance_of_hit(k: int, above: int, tied: int, hits: int) -> float:
    """Return the probability of a hit in the first k, when `above` texts come first, then `tied` texts in
    random order, of which `hits` are hits.
    """
    drawn = np.arange(min(max(k - above, 0), tied))
    return float(1 - np.prod((tied - hits - drawn) / (tied - drawn)))


def precisions(above: Places, tied: Places, hits: Places, before: Places) -> Float64:
    """Return the expected sum of precisions at the hits of each group of tied texts, `(groups,)`.

    The i-th of n tied texts after `above` others is a hit with probability hits / n; the expected number of
    hits before it is then before + (i - 1)(hits - 1)/(n - 1). The sum over i uses harmonic numbers.
    """
    steps = _harmonic(above + tied) - _harmonic(above)
    beside = (hits - 1) / np.maximum(tied - 1, 1) * (tied - (above + 1) * steps)
    return np.asarray(hits / np.maximum(tied, 1) * ((before + 1) * steps + beside), dtype=np.float64)


def _harmonic(n: Places) -> Float64:
    """Return 1 + 1/2 + ... + 1/n."""
    from scipy.special import digamma

    return np.asarray(digamma(n + 1.0) + np.euler_gamma)
