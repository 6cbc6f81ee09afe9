"""Gaussian projection: a random matrix nearly preserves distances
(Johnson and Lindenstrauss 1984; kexue.fm 8679).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.projection import reduced_width, require_settings
from embedkit.transforms.streaming import Rows


@dataclass(frozen=True)
class Gaussian:
    """Settings of `gaussian:dim=...`; entries are drawn from N(0, 1/dim)."""

    dim: int
    seed: int = 0

    def __post_init__(self) -> None:
        require_settings(self.dim, self.seed)

    def fit(self, rows: Rows) -> AffineMap:
        """Return the projection of rows `(rows, columns)`; raises MismatchError when `dim` is larger."""
        columns = reduced_width(rows, self.dim, what="gaussian")
        A = np.random.default_rng(self.seed).normal(scale=self.dim**-0.5, size=(self.dim, columns))
        return AffineMap(A, np.zeros(self.dim), {})
