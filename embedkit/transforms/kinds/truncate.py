"""Truncation: keep the first dimensions, as Matryoshka-trained models are designed for (arXiv 2205.13147)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.errors import DataError, MismatchError


@dataclass(frozen=True)
class Truncate:
    """Settings of `truncate:dim=...`; `dim` is the number of dimensions to keep."""

    dim: int

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim={self.dim} is not positive")

    def fit(self, rows: Iterable[NDArray[np.float32]]) -> AffineMap:
        """Return the map onto the first `dim` dimensions; raises MismatchError when there are fewer."""
        first = next(iter(rows), None)
        if first is None:
            raise DataError("the input contains no vectors to fit a map on")
        if self.dim > first.shape[1]:
            raise MismatchError(f"truncate needs {self.dim} dimensions, vectors have {first.shape[1]}")
        return AffineMap(np.eye(self.dim, first.shape[1]), np.zeros(self.dim), {})
