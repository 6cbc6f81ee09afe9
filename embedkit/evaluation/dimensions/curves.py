"""Measure how many dimensions vectors need: what each reduction keeps on rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32
from embedkit.data.reservoir import Sample
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.encoder import Encoder, unit_length
from embedkit.errors import DataError, UsageError
from embedkit.evaluation.dimensions.reductions import Reduction, reductions
from embedkit.evaluation.neighbours import SampleNeighbours
from embedkit.evaluation.sts import remember, require_order, spearman

KEEP_NEIGHBOURS, KEEP_SPEARMAN = 0.95, 0.99
WORTH = 0.9  # largest share of the full dimension; a map to more dimensions saves too little


@dataclass(frozen=True)
class CurveProtocol:
    """The settings of the measurement; `keep` is the share of the full vectors' value to keep."""

    sample: int = 40_000  # rows to draw; half are fitted on, half are measured
    queries: int = 1_000  # rows of the measured half whose neighbours are compared
    k: int = 10  # neighbours per query
    keep: float | None = None  # None: .95 of the neighbours; with pairs, .99 of Spearman
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep is not None and not 0 < self.keep <= 1:
            raise UsageError(f"must be above 0 and at most 1, got {self.keep}", where="`keep`")


class LabelledPairs(NamedTuple):
    """The full vectors of labelled pairs, `(pairs, dim)` each, and the scores of people, `(pairs,)`."""

    first: Float32
    second: Float32
    gold: NDArray[np.float64]


class Point(NamedTuple):
    """The values of one reduction at one dimension."""

    method: str
    dim: int
    size: int  # bytes per vector
    overlap: float  # share of the k nearest neighbours kept, the mean over queries
    error: float  # standard error of the overlap
    spearman: float | None  # correlation of cosines with the scores of the pairs


class Choice(NamedTuple):
    """The point with the fewest dimensions that keeps enough, with the map's spec and the reason."""

    point: Point
    spec: str
    reason: str


class MeasuredCurves(NamedTuple):
    """All curves, the sizes of their samples, and the choice; None where full vectors are needed."""

    points: list[Point]
    choice: Choice | None
    fitted: int  # rows that reductions were fitted on
    measured: int  # rows that were measured
    queries: int
    full_spearman: float | None


def measure(sample: Sample, protocol: CurveProtocol, labelled: LabelledPairs | None = None) -> MeasuredCurves:
    """Measure every reduction at every dimension of `dimensions_to_try`.

    Raises DataError when there are too few rows for `protocol.k` neighbours.
    """
    half, k = len(sample.vectors) // 2, protocol.k
    fitted, measured = sample.vectors[:half], sample.vectors[half:]
    if half <= k:
        raise DataError(f"{k} neighbours need at least {2 * (k + 1)} rows, got {sample.rows}")
    queries = min(protocol.queries, len(measured))
    truth = SampleNeighbours(measured, queries, k)
    ways = reductions(fitted, seed=protocol.seed)
    points = [point for way in ways for point in curve(way, measured, truth, labelled)]
    full = rank_correlation(labelled, labelled.first, labelled.second) if labelled else None
    choice = choose(points, {way.name: way.spec for way in ways if way.spec}, protocol.keep, full)
    return MeasuredCurves(points, choice, half, len(measured), queries, full)


def curve(
    way: Reduction, rows: Float32, truth: SampleNeighbours, labelled: LabelledPairs | None = None
) -> Iterator[Point]:
    """Yield the values of one reduction on rows `(rows, dim)`, at each dimension to try."""
    columns = way.columns(rows)
    pairs = (way.columns(labelled.first), way.columns(labelled.second)) if labelled else None
    for dim in dimensions_to_try(rows.shape[1], way.most):
        part = truth.overlap(columns[:, :dim])
        error = float(part.std(ddof=1) / np.sqrt(len(part)))
        score = None
        if labelled is not None and pairs is not None:
            score = rank_correlation(labelled, pairs[0][:, :dim], pairs[1][:, :dim])
        yield Point(way.name, dim, way.size(dim), float(part.mean()), error, score)


def dimensions_to_try(width: int, most: int) -> list[int]:
    """Return 16, 32, 64, 96, 128, 192, 256 ... below `most`, and `most`; start at 2 if `width` <= 64."""
    start = 16 if width > 64 else 2
    doubled = [start << step for step in range(32) if start << step < most]
    between = [3 * step // 2 for step in doubled if step >= 64 and 3 * step // 2 < most]
    return sorted({*doubled, *between, most})


def choose(
    points: Sequence[Point], specs: dict[str, str], keep: float | None = None, full: float | None = None
) -> Choice | None:
    """Return the map with the fewest dimensions that keeps enough; among several, the one that keeps most.

    Enough is the share `keep` of the neighbours, within two standard errors, or, if `full` is given, of the
    Spearman correlation of full vectors. Codes, which are not in `specs`, are not maps. The result is None
    when no map that saves a tenth of the dimensions keeps enough.
    """
    least = (KEEP_NEIGHBOURS if full is None else KEEP_SPEARMAN) if keep is None else keep
    widest = max(point.dim for point in points)
    values = {point: point.overlap if full is None else (point.spearman or 0.0) for point in points}
    wanted = least if full is None else least * full
    maps = [point for point in points if point.method in specs and point.dim <= WORTH * widest]
    enough = [p for p in maps if values[p] + (2 * p.error if full is None else 0) >= wanted]
    if not enough or wanted <= 0:
        return None
    best = min(enough, key=lambda point: (point.dim, -values[point]))
    what = f"{best.overlap:.1%} of the neighbours, +-{2 * best.error:.1%}"
    if full is not None:
        what = f"Spearman {100 * values[best]:.2f} of the full vectors' {100 * full:.2f}"
    reason = f"the fewest dimensions that keep {least:.0%} or more: {what}"
    return Choice(best, specs[best.method].format(dim=best.dim), reason)


def rank_correlation(labelled: LabelledPairs, first: Float32, second: Float32) -> float:
    """Return the Spearman correlation of cosines of vectors, `(pairs, any)` each, with people's scores."""
    return spearman(cosines_of(first, second), labelled.gold)


def cosines_of(first: Float32, second: Float32) -> Float32:
    """Return the cosine of each row `(rows, dim)` to the row in the same place."""
    return np.asarray(np.einsum("ij,ij->i", unit_length(first), unit_length(second)))


def label(encoder: Encoder, pairs: Iterable[Pair], *, where: str | None = None) -> LabelledPairs:
    """Return the full vectors of pairs by `encoder`, which must be the encoder of the measured vectors.

    `where` names the pairs in errors. Raises DataError for a vector that is not finite, and for scores or
    cosines that have no correlation, as `require_order` does.
    """
    pairs = list(pairs)
    encoded = remember(encoder, (text for pair in pairs for text in pair[:2]))
    first = encoded.encode([pair.first for pair in pairs])
    second = encoded.encode([pair.second for pair in pairs])
    gold = np.array([pair.score for pair in pairs], dtype=np.float64)
    require_order(gold, where=where)
    require_order(cosines_of(first, second), "cosines", where=where)
    return LabelledPairs(first, second, gold)
