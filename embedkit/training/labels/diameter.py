"""An estimate of the margin that retrieval needs: about the diameter of a class (kexue.fm 5743).

Classification needs d(z, c_own) < d(z, c_other), retrieval needs d(z, z') < d(z, z''). By the triangle
inequality, a margin of one class diameter in the first inequality implies the second. Distances are
sqrt(1 - cosine), which is a metric; 1 - cosine is not. With a = d(z, c_own) and b = d(z, c_other),

    cos_own - cos_other = b^2 - a^2 = (b - a) (b + a),

so a margin D on distances is a margin D (b + a) on cosines, at most 2 sqrt(2) D.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float64, unit_vectors

LARGEST_CLASS = 64  # texts per class whose distances are computed


class Diameter(NamedTuple):
    """An estimated diameter, and the margin that follows."""

    diameter: float  # mean over classes of the mean distance of two texts (Bezdek and Pal 1998)
    wanted: float  # margin on cosines that the diameter implies
    bound: float  # room between class vectors: mean of 1 - cosine of a class and its nearest other
    margin: float  # the smaller of `wanted` and `bound`


def class_diameter(
    vectors: Float64, labels: NDArray[np.int64], class_vectors: Float64, centres: int = 1
) -> Diameter:
    """Estimate the diameter of classes from vectors `(rows, dim)` with labels `(rows,)`.

    `class_vectors` are `(classes * centres, dim)`. Raises ValueError when no class has two texts.
    """
    unit = unit_vectors(vectors)
    classes = unit_vectors(class_vectors.reshape(-1, centres, class_vectors.shape[1]).mean(axis=1))
    diameter = _mean_diameter(unit, labels)
    cosines = unit @ classes.T
    own = cosines[np.arange(len(labels)), labels]
    cosines[np.arange(len(labels)), labels] = -np.inf
    between = classes @ classes.T
    np.fill_diagonal(between, -np.inf)
    wanted = diameter * float(np.mean(_distance(own) + _distance(cosines.max(axis=1))))
    bound = float(np.mean(1 - between.max(axis=1)))
    return Diameter(diameter, wanted, bound, min(wanted, bound))


def _mean_diameter(unit: Float64, labels: NDArray[np.int64]) -> float:
    means = []
    order = np.argsort(labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        some = unit[rows[:LARGEST_CLASS]]
        if len(some) > 1:
            means.append(_distance((some @ some.T)[np.triu_indices(len(some), 1)]).mean())
    if not means:
        raise ValueError("no label has two texts, so none has a diameter")
    return float(np.mean(means))


def _distance(cosines: Float64) -> Float64:
    return np.sqrt(np.maximum(0.0, 1 - cosines))
