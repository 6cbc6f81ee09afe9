"""Agreement of a static encoder with its teacher on texts that were held out of the fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float32
from embedkit.embedding.encoder import unit_length
from embedkit.evaluation.sts import spearman

NEIGHBOURS = 10


class Agreement(NamedTuple):
    """How well a student's similarities follow the teacher's, over all pairs of held-out texts."""

    overlap: float  # share of the teacher's 10 nearest neighbours that are among the student's
    spearman: float  # rank correlation of the similarities of random pairs


def agreement(teacher: Float32, student: Float32, *, seed: int = 0) -> Agreement:
    """Return the agreement of two encoders' vectors of the same texts, `(texts, dim)` each.

    There must be more than 10 texts.
    """
    teacher, student = unit_length(teacher), unit_length(student)
    found = [_nearest(each @ each.T) for each in (teacher, student)]
    shared = [len(set(a) & set(b)) for a, b in zip(*(each.tolist() for each in found), strict=True)]
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(teacher), (2, 10 * len(teacher)))
    apart = first != second
    first, second = first[apart], second[apart]
    cosines = [np.sum(each[first] * each[second], axis=1).astype(np.float64) for each in (teacher, student)]
    return Agreement(sum(shared) / (NEIGHBOURS * len(teacher)), spearman(*cosines))


def mean_cosine(first: Float32, second: Float32) -> float:
    """Return the mean cosine of rows with the same rows of another matrix, `(rows, dim)` each."""
    return float(np.mean(np.sum(unit_length(first) * unit_length(second), axis=1)))


def _nearest(similarities: Float32) -> np.ndarray:
    np.fill_diagonal(similarities, -np.inf)
    return np.argpartition(-similarities, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
