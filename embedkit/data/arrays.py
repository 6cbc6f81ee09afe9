"""Types of arrays that every package computes with, and their scaling to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Array = NDArray[Any]  # of numbers of a type that the data or a setting decides


def unit_vectors(vectors: Float64) -> Float64:
    """Return vectors `(..., dim)` scaled to unit length; a vector of zeros stays."""
    lengths: Float64 = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-30)
