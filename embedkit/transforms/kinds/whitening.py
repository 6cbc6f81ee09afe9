"""Whitening: principal axes scaled to equal variance, so that all axes count equally in a cosine (Su 2021,
arXiv 2103.15316).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from embedkit.data.affine import AffineMap
from embedkit.transforms.axes import TOLERANCE, Shrinkage, Target, principal_axes
from embedkit.transforms.moments import Moments
from embedkit.transforms.streaming import Rows, fourth_moments_of, moments_of


@dataclass(frozen=True)
class Whitening:
    """Settings of `whitening`: `y = (x - beta mean) U L^(-gamma/2)`, first `dim` dimensions (kexue.fm 9079).

    beta = gamma = 1 is whitening, gamma = 0 is PCA.
    """

    dim: int | None = None  # dimensions to keep; None: the rank of the data
    beta: float = 1.0  # how much of the mean is removed
    gamma: float = 1.0  # how much of the scale is removed
    shrinkage: Shrinkage = None  # 0 to 1, or ledoit-wolf: the covariance is moved towards `target`
    target: Target = "identity"
    tolerance: float = TOLERANCE  # share of the largest variance; axes below it are dropped

    def __post_init__(self) -> None:
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"dim={self.dim} is not positive")
        for name, value in (("beta", self.beta), ("gamma", self.gamma)):
            if not math.isfinite(value):
                raise ValueError(f"{name}={value} is not a finite number")
        if not isinstance(self.shrinkage, str) and not 0 <= (self.shrinkage or 0) <= 1:
            raise ValueError(f"shrinkage={self.shrinkage} is not between 0 and 1")
        if self.shrinkage == "ledoit-wolf" and self.target != "identity":
            raise ValueError("shrinkage=ledoit-wolf is towards the identity only")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} is not between 0 and 1")

    def fit(self, rows: Rows) -> AffineMap:
        """Return the whitening of rows `(rows, dim)`; with the defaults their covariance (ddof 1) becomes I.

        Raises MismatchError when `dim` exceeds the rank of the data.
        """
        taken = fourth_moments_of if self.shrinkage == "ledoit-wolf" else moments_of
        return self.fit_moments(taken(rows))

    def fit_moments(self, moments: Moments) -> AffineMap:
        """Return the whitening of rows with these moments; raises the same errors as `fit`."""
        axes = principal_axes(
            moments, beta=self.beta, shrinkage=self.shrinkage, target=self.target, tolerance=self.tolerance
        )
        kept = axes.first(self.dim, what="whitening")
        A = kept.directions / kept.variances[:, None] ** (self.gamma / 2)
        return AffineMap(A, -A @ (self.beta * moments.mean), {"rank": axes.rank})
