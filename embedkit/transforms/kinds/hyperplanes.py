"""Random hyperplanes: a vector's binary code holds the side of each on which it lies
(Charikar 2002, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.projection import require_settings
from embedkit.transforms.streaming import Rows, width_of


@dataclass(frozen=True)
class Hyperplanes:
    """Settings of `hyperplanes:dim=...`; entries are drawn from N(0, 1/dim), as in `gaussian`.

    `dim` may exceed the vectors' dimension, since more signs estimate an angle more precisely.
    """

    dim: int
    seed: int = 0

    def __post_init__(self) -> None:
        require_settings(self.dim, self.seed)

    def fit(self, rows: Rows) -> AffineMap:
        """Return the projection of rows `(rows, columns)` onto the normals of `dim` hyperplanes."""
        generator = np.random.default_rng(self.seed)
        A = generator.normal(scale=self.dim**-0.5, size=(self.dim, width_of(rows)))
        return AffineMap(A, np.zeros(self.dim), {})
