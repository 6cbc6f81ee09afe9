"""The map that changes nothing: the yardstick that every other one is held against."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.errors import DataError


@dataclass(frozen=True)
class IdentityMap:
    """Settings of `identity`: none."""

    def fit(self, rows: Iterable[NDArray[np.float32]]) -> AffineMap:
        """Return x -> x at the width of the first block of rows, `(rows, dim)`."""
        first = next(iter(rows), None)
        if first is None:
            raise DataError("there are no vectors to fit a map on")
        return AffineMap(np.eye(first.shape[1]), np.zeros(first.shape[1]), {})
