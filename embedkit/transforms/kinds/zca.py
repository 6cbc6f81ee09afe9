"""ZCA: the whitening that stays nearest to the original vectors (Bell and Sejnowski 1997)."""

from __future__ import annotations

from dataclasses import dataclass

from embedkit.data.affine import AffineMap
from embedkit.transforms.axes import TOLERANCE, principal_axes
from embedkit.transforms.streaming import Rows, moments_of


@dataclass(frozen=True)
class ZCA:
    """Settings of `zca`; axes with less than `tolerance` of the largest variance are dropped, not scaled."""

    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} is not between 0 and 1")

    def fit(self, rows: Rows) -> AffineMap:
        """Return x -> U L^(-1/2) U^T (x - mean) for rows `(rows, dim)`; the dimension does not change."""
        moments = moments_of(rows)
        U = principal_axes(moments, tolerance=self.tolerance).first(None, what="zca")
        A = U.directions.T @ (U.directions / U.variances[:, None] ** 0.5)
        return AffineMap(A, -A @ moments.mean, {"rank": U.rank})
