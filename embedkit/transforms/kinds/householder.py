"""Householder: an orthogonal map that turns the mean direction to the first axis, or to the mean direction of
other vectors (kexue.fm 8453).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.data.arrays import Float64
from embedkit.errors import DataError, MismatchError, UsageError
from embedkit.transforms.streaming import Rows, centroid_of


@dataclass(frozen=True)
class Householder:
    """Settings of `householder`; `drop` removes the first axis, on which the mapped mean lies."""

    drop: bool = False

    def fit(self, rows: Rows, target: Rows | None = None) -> AffineMap:
        """Return the map for rows `(rows, dim)`, towards any number of target rows `(rows, dim)` if given.

        Raises DataError when a mean has no direction, MismatchError when the target has another dimension,
        and UsageError for `drop` with a target.
        """
        if self.drop and target is not None:
            raise UsageError(
                "drop=true drops the first axis, and cannot be used with a target", where="householder"
            )
        a = _direction(rows, "these rows")
        b = np.eye(len(a))[0] if target is None else _direction(target, "the target")
        if len(a) != len(b):
            raise MismatchError(f"vectors have {len(a)} dimensions, the target has {len(b)}")
        if self.drop and len(a) == 1:
            raise MismatchError("householder:drop=true needs at least 2 dimensions, vectors have 1")
        A = turn(a, b)[int(self.drop) :]
        return AffineMap(A, np.zeros(len(A)), {})


def turn(a: Float64, b: Float64) -> Float64:
    """Return an orthogonal T with T a = b, for unit vectors `(dim,)`; exact at b = a and b = -a.

    T1 = I + 2 b a^T - (a+b)(a+b)^T/(1+a.b) is a rotation that fixes vectors orthogonal to both, and fails
    near b = -a. T2 = I - (a-b)(a-b)^T/(1-a.b) is a reflection that fails near b = a. The sign of a.b selects
    one.
    """
    identity, cosine = np.eye(len(a)), float(a @ b)
    if cosine < 0:
        return np.asarray(identity - np.outer(a - b, a - b) / (1 - cosine))
    return np.asarray(identity + 2 * np.outer(b, a) - np.outer(a + b, a + b) / (1 + cosine))


def _direction(rows: Rows, whose: str) -> Float64:
    _, mean, mean_square = centroid_of(rows)
    length = float(np.linalg.norm(mean))
    if length <= float(np.finfo(np.float32).eps) * mean_square**0.5:
        raise DataError(f"householder needs a mean with a direction, but the mean of {whose} is zero")
    return mean / length
