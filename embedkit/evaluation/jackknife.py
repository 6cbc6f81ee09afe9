"""The jackknife: what each row brings to a mean, when it has a part in the values of other rows too."""

from __future__ import annotations

import numpy as np

from embedkit.evaluation.bootstrap import Float64


def with_effects(own: Float64, effects: Float64, squares: Float64) -> Float64:
    """Return values `(figures, rows)` of the same means as `own`, to be drawn again where rows are.

    A row has a value of its own, and a sum of effects on others': how much they change when it is taken
    away. Both together are Tukey's pseudo-values, whose variance counts what two rows do to each other twice
    (Efron and Stein 1981, section 3). That is the sum of the `squares` `(figures,)` of all effects, so sums
    of effects are shrunk until the variance is less by it.
    """
    mean = own.mean(axis=-1, keepdims=True)
    effects = effects - effects.mean(axis=-1, keepdims=True)
    a, b = np.sum(effects**2, axis=-1), np.sum((own - mean) * effects, axis=-1)
    root = np.sqrt(np.maximum(b**2 + a * (a + 2 * b - squares), 0))  # a s^2 + 2 b s = a + 2 b - squares
    shrinkage = np.divide(np.maximum(root - b, 0), a, out=np.zeros_like(a), where=a > 0)
    return np.asarray(own + shrinkage[..., None] * effects)
