"""Centring: subtract the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.streaming import Rows, centroid_of


@dataclass(frozen=True)
class Centre:
    """Settings of `centre`, which has none."""

    def fit(self, rows: Rows) -> AffineMap:
        """Return x -> x - mean of all rows, given as blocks `(rows, dim)`."""
        mean = centroid_of(rows).mean
        return AffineMap(np.eye(len(mean)), -mean, {})
