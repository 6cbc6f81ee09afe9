"""The grid of whitening settings, and the cosines of pairs under all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.embedding.encoder import Vectors
from embedkit.evaluation.sts import quotients
from embedkit.transforms.axes import Axes, Shrinkage, principal_axes
from embedkit.transforms.kinds.whitening import Whitening
from embedkit.transforms.moments import Moments

_BLOCK_ROWS = 8192  # pairs mapped at a time


@dataclass(frozen=True)
class Grid:
    """The settings to try, in all combinations."""

    beta: tuple[float, ...] = (1.0, 0.5, 0.0)
    gamma: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.0)
    shrinkage: tuple[Shrinkage, ...] = (None, 0.01, 0.1)
    dim: tuple[int, ...] | None = None  # None: the rank, and `dimensions(rank)`


ALL = Grid()


def dimensions(rank: int) -> list[int]:
    """Return the dimensions to try below a rank: 32, 48, 64, 96, 128, 192 and so on."""
    steps = (int(base * 2**power) for power in range(5, 16) for base in (1, 1.5))
    return [step for step in steps if step < rank]


def grid_cosines(
    moments: Moments, X: Vectors, Y: Vectors, grid: Grid
) -> Iterator[tuple[list[Whitening], Float64]]:
    """Yield lists of settings that share axes, with the cosine of each pair under each of the settings,
    `(pairs, settings)`.
    """
    for beta, shrinkage in product(grid.beta, grid.shrinkage):
        axes = principal_axes(moments, beta=beta, shrinkage=shrinkage)
        dims: Sequence[int | None] = grid.dim or (None, *dimensions(axes.rank))
        settings = [
            Whitening(dim, beta, gamma, shrinkage)
            for gamma in grid.gamma
            for dim in dims
            if gamma or shrinkage == grid.shrinkage[0]  # unscaled axes are the same with any shrinkage
        ]
        if settings:
            yield settings, _mapped_cosines(axes, beta * moments.mean, X, Y, settings)


def _mapped_cosines(
    axes: Axes, centre: Float64, X: Vectors, Y: Vectors, settings: Sequence[Whitening]
) -> Float64:
    """Return the cosine of each pair under each of the settings, which differ in gamma and dim only.

    In the coordinates of its axes a map only scales and drops columns, so each inner product is a weighted
    sum of products of columns: one matrix product computes all settings.
    """
    weights = np.zeros((axes.rank, len(settings)))
    for column, each in enumerate(settings):
        kept = axes.first(each.dim, what="whitening").variances
        weights[: len(kept), column] = kept**-each.gamma
    blocks = []
    for start in range(0, len(X), _BLOCK_ROWS):
        P, Q = ((Z[start : start + _BLOCK_ROWS] - centre) @ axes.directions.T for Z in (X, Y))
        blocks.append(quotients((P * Q) @ weights, (P * P) @ weights, (Q * Q) @ weights))
    return np.concatenate(blocks)


def plain_cosines(X: Vectors, Y: Vectors) -> Float64:
    """Return the cosine of each pair without a map, `(pairs, 1)`."""
    P, Q = X.astype(np.float64), Y.astype(np.float64)
    return quotients(*((a * b).sum(axis=1, keepdims=True) for a, b in ((P, Q), (P, P), (Q, Q))))
