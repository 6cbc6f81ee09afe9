"""Reductions of vectors, each fitted once: their first n columns are the vectors at n dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.data.arrays import Float32
from embedkit.transforms.axes import principal_axes
from embedkit.transforms.kinds.gaussian import Gaussian
from embedkit.transforms.streaming import moments_of


class Reduction(NamedTuple):
    """A reduction: `columns` maps rows `(rows, dim)` to `(rows, most)`, with `bits` bits per number."""

    name: str
    columns: Callable[[Float32], Float32]
    most: int
    bits: int = 32
    spec: str | None = None  # the map's spec, with {dim} for the dimension; None: a code, not a map

    def size(self, dim: int) -> int:
        """Return the bytes per vector at `dim` dimensions."""
        return -(-dim * self.bits // 8)


def reductions(rows: Float32, *, seed: int) -> list[Reduction]:
    """Return every reduction, fitted on rows `(rows, dim)`, whose moments are computed once.

    `svd` rotates vectors about the origin, which keeps cosines best (Eckart and Young 1936); `pca` rotates
    them about their mean; `int8` rounds the result of `svd`; `sign` takes signs after a random rotation about
    the mean (Charikar 2002). Raises DataError for fewer than 2 rows, and when all rows are equal.
    """
    moments, width = moments_of([rows]), rows.shape[1]
    origin, centred = principal_axes(moments, beta=0.0), principal_axes(moments)
    svd = AffineMap(origin.first(None, what="svd").directions, np.zeros(origin.rank), {})
    pca = _about(moments.mean, centred.first(None, what="pca").directions)
    whitening = _about(moments.mean, centred.directions / np.sqrt(centred.variances)[:, None])
    turned = _about(moments.mean, _rotation(width, seed))
    step = np.abs(svd.apply(rows)).max(axis=0) / 127
    return [
        Reduction("svd", svd.apply, origin.rank, spec="whitening:dim={dim},beta=0,gamma=0"),
        Reduction("pca", pca.apply, centred.rank, spec="pca:dim={dim}"),
        Reduction("whitening", whitening.apply, centred.rank, spec="whitening:dim={dim}"),
        Reduction("gaussian", Gaussian(width, seed).fit([rows]).apply, width, spec="gaussian:dim={dim}"),
        Reduction("truncate", np.asarray, width, spec="truncate:dim={dim}"),
        Reduction("int8", lambda x: rounded(svd.apply(x), step), origin.rank, bits=8),
        Reduction("sign", lambda x: signs(turned.apply(x)), width, bits=1),
    ]


def rounded(numbers: Float32, step: Float32) -> Float32:
    """Round `(rows, columns)` to 8 bits: return the nearest of -127 ... 127 times each column's step."""
    return np.asarray(np.clip(np.rint(numbers / step), -127, 127) * step, dtype=np.float32)


def signs(numbers: Float32) -> Float32:
    """Return 1 or -1 per number; cosines of such rows give the same order as Hamming distances."""
    return np.where(numbers >= 0, np.float32(1), np.float32(-1))


def _about(centre: NDArray[np.float64], A: NDArray[np.float64]) -> AffineMap:
    """Return the map x -> A (x - centre)."""
    return AffineMap(A, -A @ centre, {})


def _rotation(width: int, seed: int) -> NDArray[np.float64]:
    """Return a random orthogonal matrix (Stewart 1980, through QR)."""
    Q, R = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))
    return np.asarray(Q * np.sign(np.diag(R)))
