"""PCA: the directions of largest variance, unscaled (Pearson 1901)."""

from __future__ import annotations

from dataclasses import dataclass

from embedkit.data.affine import AffineMap
from embedkit.transforms.axes import principal_axes
from embedkit.transforms.streaming import Rows, moments_of


@dataclass(frozen=True)
class PCA:
    """Settings of `pca`; `dim` is the number of directions to keep, None for the rank of the data."""

    dim: int | None = None

    def __post_init__(self) -> None:
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"dim={self.dim} is not positive")

    def fit(self, rows: Rows) -> AffineMap:
        """Return x -> U^T (x - mean) for rows `(rows, dim)`; raises MismatchError beyond their rank."""
        moments = moments_of(rows)
        axes = principal_axes(moments)
        A = axes.first(self.dim, what="pca").directions
        return AffineMap(A, -A @ moments.mean, {"rank": axes.rank})
