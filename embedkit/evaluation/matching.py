"""Matching: does a text find its partner among the partners of all texts, alone or one to one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float64
from embedkit.embedding.encoder import Encoder, unit_length
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import RESAMPLES
from embedkit.evaluation.means import Result, mean_results

MEASURES = ("nearest", "nearest, reversed", "one to one")
LEAST, MOST = 2, 5000  # pairs; an assignment needs all cosines at once, and its time grows with the cube
_TIE = 1e-12  # cosines of equal vectors differ by less


def matches(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> Float64:
    """Return whether each pair is matched, from 0 to 1, by each of `MEASURES`, `(3, len(pairs))`.

    The measures are: the second text is the nearest of all second texts to the first; the same with the sides
    exchanged; and the assignment of second to first texts with the largest sum of cosines (scipy's
    `linear_sum_assignment`) contains the pair. Equal texts count as one, and a tie of n texts counts 1/n.
    Raises DataError for fewer than `LEAST` pairs or more than `MOST`.
    """
    from scipy.optimize import linear_sum_assignment

    require_size(pairs)
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    X, Y = (unit_length(encoder.encode(texts)).astype(np.float64) for texts in (first, second))
    cosines, one, other = X @ Y.T, _numbers(first), _numbers(second)
    _, assigned = linear_sum_assignment(cosines, maximize=True)
    return np.array([_nearest(cosines, other), _nearest(cosines.T, one), other[assigned] == other])


def evaluate_matching(
    values: Sequence[Float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Result]:
    """Return the accuracy of each measure and system from the values of `matches`, one array per system."""
    return mean_results(MEASURES, np.array(values), resamples=resamples, seed=seed)


def require_size(pairs: Sequence[object]) -> None:
    """Raise DataError for too few or too many pairs."""
    if not LEAST <= len(pairs) <= MOST:
        hint = "take a sample" if len(pairs) > MOST else "add pairs"
        raise DataError(f"matching needs {LEAST} to {MOST:,} pairs, there are {len(pairs):,}", hint=hint)


def _numbers(texts: Sequence[str]) -> NDArray[np.intp]:
    """Return a number per text, `(len(texts),)`, equal for equal texts."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return np.array([places[text] for text in texts])


def _nearest(cosines: Float64, texts: NDArray[np.intp]) -> Float64:
    """Return whether each row's own column has the largest cosine `(rows,)`; `texts` are those of columns."""
    _, distinct = np.unique(texts, return_index=True)  # one column of each text
    best = cosines >= cosines.max(axis=1, keepdims=True) - _TIE
    own = np.diagonal(best)
    return np.asarray(own / np.maximum(best[:, distinct].sum(axis=1), 1))
