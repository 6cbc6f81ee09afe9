"""The identity map, which changes nothing: the baseline for every other map."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.errors import DataError


@dataclass(frozen=True)
class IdentityMap:
    """Settings of `identity`, which has none."""

    def fit(self, rows: Iterable[NDArray[np.float32]]) -> AffineMap:
        """Return x -> x for the dimension of the first block of rows, `(rows, dim)`."""
        first = next(iter(rows), None)
        if first is None:
            raise DataError("the input contains no vectors to fit a map on")
        return AffineMap(np.eye(first.shape[1]), np.zeros(first.shape[1]), {})
