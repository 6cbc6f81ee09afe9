"""All but the top: remove the mean and the few directions that all vectors share (Mu and Viswanath 2018,
arXiv 1702.01417).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.transforms.axes import principal_axes
from embedkit.transforms.streaming import Rows, moments_of


@dataclass(frozen=True)
class TopComponents:
    """Settings of `top-components`; `components` is the number of directions to remove, None for one per
    hundred dimensions, at least one.
    """

    components: int | None = None

    def __post_init__(self) -> None:
        if self.components is not None and self.components < 1:
            raise ValueError(f"components={self.components} is not positive")

    def fit(self, rows: Rows) -> AffineMap:
        """Return x -> (I - U U^T)(x - mean), with U the first directions of rows `(rows, dim)`.

        Raises MismatchError when the rows have fewer directions than are to be removed.
        """
        moments = moments_of(rows)
        columns = len(moments.mean)
        axes = principal_axes(moments)
        U = axes.first(self.components or max(1, round(columns / 100)), what="top-components").directions
        A = np.eye(columns) - U.T @ U
        return AffineMap(A, -A @ moments.mean, {"rank": axes.rank})
