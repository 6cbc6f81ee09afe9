"""Vectors that are not finite are refused before they are measured: every comparison with NaN is false."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedkit.data.pairs import shown
from embedkit.embedding.encoder import Vectors
from embedkit.errors import DataError


def require_finite(vectors: Vectors, texts: Sequence[str]) -> None:
    """Raise DataError, naming the text, for a vector of `(len(texts), dim)` with NaN or infinity in it."""
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = texts[int(np.argmin(finite))]
        raise DataError(f"the vector of {shown(text)} has a number that is not finite")
