"""Subsampled randomized Hadamard transform: signs, Hadamard, sampled rows (Tropp 2011, arXiv 1011.1595)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.projection import reduced_width, require_settings
from embedkit.transforms.streaming import Rows


@dataclass(frozen=True)
class SRHT:
    """Settings of `srht:dim=...`."""

    dim: int
    seed: int = 0

    def __post_init__(self) -> None:
        require_settings(self.dim, self.seed)

    def fit(self, rows: Rows) -> AffineMap:
        """Return the projection of rows `(rows, columns)`; raises MismatchError when `dim` is larger.

        Rows are padded with zeros to n columns, a power of two: `A = sqrt(n/dim) P H/sqrt(n) D`, with D
        random signs, H Hadamard, and P `dim` rows drawn without replacement.
        """
        from scipy.linalg import hadamard

        columns = reduced_width(rows, self.dim, what="srht")
        n = 1 << (columns - 1).bit_length()
        numbers = np.random.default_rng(self.seed)
        signs = numbers.choice([-1.0, 1.0], size=columns)
        sampled = numbers.choice(n, size=self.dim, replace=False)
        A = hadamard(n, dtype=np.int8)[sampled, :columns] * signs / self.dim**0.5
        return AffineMap(A, np.zeros(self.dim), {})
