"""Measure the geometry of vectors: their directions, their spread, and their nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float32, Float64
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import Estimate, estimate, mean_estimate, resampled_means
from embedkit.evaluation.geometry.agreement import Agreement, agreement
from embedkit.evaluation.geometry.hubness import Hubness, hubness
from embedkit.evaluation.geometry.spectrum import Spectrum, spectrum_of
from embedkit.evaluation.geometry.survey import Norms, Survey
from embedkit.evaluation.sts import quotients

TEMPERATURE = 2.0  # t of uniformity


@dataclass(frozen=True)
class GeometryProtocol:
    """Sample sizes of the measures that need pairs or neighbours; other measures use all rows."""

    pairs: int = 10_000  # pairs of different rows; no row is in two pairs
    neighbours: int = 10_000  # rows among which exact neighbours are found
    k: int = 10
    resamples: int = 1000
    seed: int = 0

    @property
    def sample(self) -> int:
        """The number of rows to draw."""
        return max(2 * self.pairs, self.neighbours)


class Geometry(NamedTuple):
    """The values of one set of vectors."""

    rows: int
    dimension: int
    norms: Norms
    spectrum: Spectrum
    mean_cosine: Estimate  # over random pairs: the anisotropy of Ethayarajh 2019, section 3.3
    uniformity: Estimate
    pairs: int
    hubness: Hubness | None  # None for `k` or fewer nonzero rows


def geometry(found: Survey, protocol: GeometryProtocol) -> Geometry:
    """Return the values of surveyed vectors; raise DataError for a single row.

    A zero vector, which has no direction, has the cosine 0 to all vectors, and is left out of neighbours.
    """
    moments = found.moments
    if moments.rows < 2:
        raise DataError("the geometry of vectors needs at least 2 rows, got 1")
    similarity = pair_cosines(found.vectors[: 2 * protocol.pairs])
    nonzero = found.vectors[found.vectors.any(axis=1)][: protocol.neighbours]
    return Geometry(
        moments.rows,
        len(moments.mean),
        found.norms,
        spectrum_of(moments),
        mean_estimate(similarity, protocol.resamples, protocol.seed),
        uniformity(similarity, resamples=protocol.resamples, seed=protocol.seed),
        len(similarity),
        hubness(nonzero, protocol.k),
    )


def pair_cosines(rows: Float32) -> Float64:
    """Return the cosines of rows 0 and 1, 2 and 3, ... of `(rows, dim)`: `(rows // 2,)`."""
    half = len(rows) // 2
    return cosines_between(rows[0 : 2 * half : 2], rows[1 : 2 * half : 2])


def cosines_between(first: Float32, second: Float32) -> Float64:
    """Return the cosine of each row `(rows, dim)` to the row in the same place; 0 for a zero vector."""
    x, y = first.astype(np.float64), second.astype(np.float64)
    return quotients(*(np.einsum("ij,ij->i", a, b) for a, b in ((x, y), (x, x), (y, y))))


def uniformity(similarity: Float64, *, resamples: int, seed: int) -> Estimate:
    """Return log of the mean of exp(-2 |x - y|^2) over pairs of unit vectors, from their cosines `(pairs,)`.

    The value is 0 for equal vectors and about -4 + 8 / dim for uniformly distributed directions; lower is
    more uniform (Wang and Isola 2020, section 4.1.2, t = 2).
    """
    kernel = np.exp(-TEMPERATURE * squared_distances(similarity))
    return estimate(float(np.log(kernel.mean())), np.log(resampled_means(kernel, resamples, seed)))


def alignment(similarity: Float64, *, resamples: int, seed: int) -> Estimate:
    """Return the mean of |x - y|^2 over pairs that mean the same, from the cosines `(pairs,)` of their unit
    vectors; lower is better (Wang and Isola 2020, section 4.1.1, alpha = 2).
    """
    return mean_estimate(squared_distances(similarity), resamples, seed)


def squared_distances(similarity: Float64) -> Float64:
    """Return |x - y|^2 of unit vectors from their cosines."""
    return np.asarray(2 - 2 * similarity)


def agree(first: Survey, second: Survey, protocol: GeometryProtocol) -> Agreement:
    """Compare neighbours in two sets, among the drawn rows of both, joined by id, without zero vectors.

    Raises DataError when fewer than `k + 1` drawn ids are in both sets, or when an id names two rows.
    """
    for each in (first, second):
        names, counts = np.unique(each.ids, return_counts=True)
        if len(names) < len(each.ids):
            raise DataError(f"the id {names[counts.argmax()]!r} names {counts.max()} rows; sets join by id")
    _, mine, theirs = np.intersect1d(first.ids, second.ids, assume_unique=True, return_indices=True)
    order = np.argsort(mine)  # in the order of the draw
    x, y = first.vectors[mine[order]], second.vectors[theirs[order]]
    nonzero = np.flatnonzero(x.any(axis=1) & y.any(axis=1))[: protocol.neighbours]
    return agreement(x[nonzero], y[nonzero], protocol.k, resamples=protocol.resamples, seed=protocol.seed)
