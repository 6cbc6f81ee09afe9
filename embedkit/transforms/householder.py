"""Householder: an orthogonal map that brings the mean direction to the first axis (kexue.fm 8453)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.errors import DataError, MismatchError
from embedkit.transforms.affine import Affine
from embedkit.transforms.moments import Float64, Rows, centroid_of


@dataclass(frozen=True)
class Householder:
    """Settings of `householder`: whether the first axis, on which the mean then lies, is dropped."""

    drop: bool = False

    def fit(self, rows: Rows) -> Affine:
        """Return the map for rows `(rows, dim)`; raises DataError when their mean has no direction."""
        _, mean, mean_square = centroid_of(rows)
        length = float(np.linalg.norm(mean))
        if length <= float(np.finfo(np.float32).eps) * mean_square**0.5:
            raise DataError("householder wants a mean with a direction, the mean of these rows is zero")
        if self.drop and len(mean) == 1:
            raise MismatchError("householder:drop=true would leave 0 dimensions, vectors have 1")
        A = turn(mean / length, np.eye(len(mean))[0])[int(self.drop) :]
        return Affine(A, np.zeros(len(A)), {})


def turn(a: Float64, b: Float64) -> Float64:
    """Return an orthogonal, symmetric T with T a = b, for unit vectors `(dim,)`; exact at b = a and b = -a.

    T2 = I - (a-b)(a-b)^T/(1-a.b) fails near b = a, T3 = (a+b)(a+b)^T/(1+a.b) - I near b = -a: the sign of a.b
    chooses.
    """
    identity = np.eye(len(a))
    cosine = float(a @ b)
    if cosine < 0:
        return np.asarray(identity - np.outer(a - b, a - b) / (1 - cosine))
    return np.asarray(np.outer(a + b, a + b) / (1 + cosine) - identity)
