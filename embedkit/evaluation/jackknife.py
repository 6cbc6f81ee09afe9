"""Compute by the jackknife each row's share in a mean when it also affects the values of other rows."""

from __future__ import annotations

import numpy as np

from embedkit.data.arrays import Float64


def with_effects(own: Float64, effects: Float64, squares: Float64) -> Float64:
    """Return values `(measures, rows)` with the same means as `own`, for a bootstrap that draws rows.

    `own` holds each row's own value; `effects` holds the sum of its effects on the values of other rows: how
    much they change when the row is removed. The two together are Tukey's pseudo-values, whose variance
    counts the interaction of two rows twice (Efron and Stein 1981, section 3). The excess is the sum of the
    squared effects, `squares` `(measures,)`, so the sums of effects are shrunk until the variance is smaller
    by it.
    """
    mean = own.mean(axis=-1, keepdims=True)
    effects = effects - effects.mean(axis=-1, keepdims=True)
    a, b = np.sum(effects**2, axis=-1), np.sum((own - mean) * effects, axis=-1)
    root = np.sqrt(np.maximum(b**2 + a * (a + 2 * b - squares), 0))  # a s^2 + 2 b s = a + 2 b - squares
    shrinkage = np.divide(np.maximum(root - b, 0), a, out=np.zeros_like(a), where=a > 0)
    return np.asarray(own + shrinkage[..., None] * effects)
