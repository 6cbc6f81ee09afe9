"""Orthogonal Procrustes: the rotation that moves vectors nearest to another encoder's vectors (Schoenemann
1966).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.errors import DataError
from embedkit.transforms.streaming import Pairs, cross_moments_of


@dataclass(frozen=True)
class Procrustes:
    """Settings of `procrustes`: whether to match the means too (`centre`), and the spread (`scale`)."""

    centre: bool = True
    scale: bool = True

    def fit(self, pairs: Pairs) -> AffineMap:
        """Return x -> s A x + b for pairs of blocks `(rows, dim)` and `(rows, target_dim)`, row by row.

        A is the matrix with orthonormal rows or columns that maximises the inner products of A x and the
        targets, which for `dim <= target_dim` is the least-squares solution. Raises DataError when rows and
        targets do not correlate.
        """
        moments = cross_moments_of(pairs)
        cross, squares = moments.about_means if self.centre else moments.about_zero
        U, singular, Vt = np.linalg.svd(cross, full_matrices=False)
        rank = int(np.sum(singular > np.finfo(np.float32).eps * singular[0]))
        if not rank:
            raise DataError("procrustes needs vectors that correlate with their targets, and these do not")
        A = U @ Vt * (singular.sum() / squares if self.scale else 1)
        b = moments.target_mean - A @ moments.mean if self.centre else np.zeros(len(A))
        return AffineMap(A, b, {"rank": rank})
