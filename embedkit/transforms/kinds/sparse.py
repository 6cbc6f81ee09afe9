"""Sparse random projection: each entry is 0 or plus or minus one value (Achlioptas 2003; Li et al. 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.projection import reduced_width, require_settings
from embedkit.transforms.streaming import Rows


@dataclass(frozen=True)
class Sparse:
    """Settings of `sparse:dim=...`; `density` is the share of nonzero entries, None for Li's 1/sqrt(columns).

    Achlioptas uses 1/3, or 1 for signs only.
    """

    dim: int
    density: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_settings(self.dim, self.seed)
        if self.density is not None and not 0 < self.density <= 1:
            raise ValueError(f"density={self.density} is not above 0 and at most 1")

    def fit(self, rows: Rows) -> AffineMap:
        """Return the projection of rows `(rows, columns)`; raises MismatchError when `dim` is larger."""
        columns = reduced_width(rows, self.dim, what="sparse")
        density = columns**-0.5 if self.density is None else self.density
        numbers = np.random.default_rng(self.seed)
        kept = numbers.random((self.dim, columns)) < density
        signs = numbers.choice([-1.0, 1.0], size=(self.dim, columns))
        return AffineMap(kept * signs * (density * self.dim) ** -0.5, np.zeros(self.dim), {})
