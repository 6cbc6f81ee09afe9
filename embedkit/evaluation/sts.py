"""Semantic textual similarity: measure whether cosines rank pairs of texts as people do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from embedkit.data.arrays import Float64
from embedkit.data.identity import Identity
from embedkit.data.text.record import Record
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.batching import encode_records
from embedkit.embedding.encoder import Encoder, Role, Vectors, require_finite
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import RESAMPLES, Difference, Estimate, difference, draws, estimate
from embedkit.evaluation.ranks import ROUNDING, Ranks, weighted_correlation

LEAST = 3  # fewest pairs for a correlation; with two it is always 1 or -1
_BLOCK_ROWS = 8192  # pairs whose cosines are computed at a time


class Scored(NamedTuple):
    """One file: the scores of people `(rows,)`, and the cosines of each system `(systems, rows)`."""

    name: str
    gold: Float64
    predicted: Float64


class Result(NamedTuple):
    """The values of one system on one file, or on several files with the aggregation `name`."""

    # the file; or all: the pairs of all files together; mean: over files; wmean: over files, by rows
    name: str
    system: int
    rows: int
    spearman: Estimate
    pearson: Estimate
    gain: Difference | None  # Spearman's difference from system 0


class Remembered:
    """An encoder that returns stored vectors of texts it has already encoded."""

    def __init__(self, identity: Identity, places: dict[str, int], vectors: Vectors) -> None:
        self._identity, self._places, self._vectors = identity, places, vectors

    @property
    def identity(self) -> Identity:
        """The identity of the original encoder."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return the stored vectors of texts, `(len(texts), dimension)`; `role` is ignored."""
        return self._vectors[[self._places[text] for text in texts]]


def remember(
    encoder: Encoder,
    texts: Iterable[str],
    on_batch: Callable[[int], None] = lambda rows: None,
    *,
    role: Role = "document",
) -> Remembered:
    """Encode each distinct text once, and return an encoder that remembers the vectors.

    `on_batch` is called with the number of texts of each window. Raises DataError, which names the text, for
    a vector that is not finite.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    records = (Record(str(place), text, {}) for text, place in places.items())
    blocks = []
    for window in encode_records(encoder, records, role):
        require_finite(window.vectors, [record.text for record in window.records])
        blocks.append(window.vectors)
        on_batch(len(window.records))
    empty = np.empty((0, encoder.identity.dimension), dtype=np.float32)
    return Remembered(encoder.identity, places, np.concatenate([empty, *blocks]))


def cosines(encoder: Encoder, pairs: Sequence[Pair]) -> Float64:
    """Return the cosine of each pair, `(len(pairs),)`; each distinct text is encoded once, as a document.

    Raises the errors of `remember`.
    """
    encoded = remember(encoder, texts_of(pairs))
    starts = range(0, len(pairs), _BLOCK_ROWS)
    blocks = (pairs[start : start + _BLOCK_ROWS] for start in starts)
    return np.concatenate([np.empty(0), *(_cosines(encoded, block) for block in blocks)])


def score(name: str, pairs: Sequence[Pair], encoders: Sequence[Encoder]) -> Scored:
    """Return the scores of people, and the cosines by each encoder, of the pairs of the file `name`."""
    gold = np.array([pair.score for pair in pairs])
    return Scored(name, gold, np.array([cosines(encoder, pairs) for encoder in encoders]))


def texts_of(pairs: Iterable[Pair]) -> Iterator[str]:
    """Yield both texts of each pair, in order."""
    for pair in pairs:
        yield from pair[:2]


def _cosines(encoder: Encoder, pairs: Sequence[Pair]) -> Float64:
    X = encoder.encode([pair.first for pair in pairs]).astype(np.float64)
    Y = encoder.encode([pair.second for pair in pairs]).astype(np.float64)
    dot = partial(np.einsum, "ij,ij->i")
    return quotients(dot(X, Y), dot(X, X), dot(Y, Y))


def quotients(xy: Float64, xx: Float64, yy: Float64) -> Float64:
    """Return xy / sqrt(xx yy), the cosines from inner products; 0 for a vector of length zero."""
    squares = xx * yy  # sqrt(x * x) is exact, so that equal vectors have cosine 1, and tie
    return np.divide(xy, np.sqrt(squares), out=np.zeros_like(xy), where=squares > 0)


def spearman(predicted: ArrayLike, gold: ArrayLike) -> float:
    """Return Spearman's rank correlation, where ties get their mean rank; 0 if either side is constant.

    Raises DataError for a number that is not finite, and MismatchError for sides of different lengths.
    """
    from scipy.stats import rankdata

    x, y = _columns(predicted, gold)
    return pearson(rankdata(x), rankdata(y))


def pearson(predicted: ArrayLike, gold: ArrayLike) -> float:
    """Return Pearson's correlation; 0 if either side is constant, since it does not order pairs.

    Raises the errors of `spearman`.
    """
    from scipy.stats import pearsonr

    x, y = _columns(predicted, gold)
    return 0.0 if _constant(x) or _constant(y) else float(pearsonr(x, y).statistic)


def _columns(predicted: ArrayLike, gold: ArrayLike) -> tuple[Float64, Float64]:
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise MismatchError(f"got scores of shape {x.shape} for pairs of shape {y.shape}")
    for side in (x, y):
        if not np.isfinite(side).all():
            place = int(np.argmin(np.isfinite(side)))
            raise DataError(f"the score of pair {place + 1} is {side[place]}, which is not a finite number")
    return x, y


def _constant(x: Float64) -> bool:
    return len(x) < 2 or float(np.var(x)) <= ROUNDING * float(np.mean(x**2))


def require_order(scores: ArrayLike, what: str = "scores", *, where: str | None = None) -> None:
    """Raise DataError for scores `(pairs,)` that cannot have a correlation: fewer than `LEAST`, or all equal.

    `what` names the scores in the error.
    """
    x = np.asarray(scores, dtype=np.float64)
    if len(x) < LEAST:
        found = f"there {'is 1 pair' if len(x) == 1 else f'are {len(x)} pairs'}"
        raise DataError(f"a correlation needs {LEAST} pairs or more, {found}", where=where)
    if _constant(x):
        raise DataError(
            f"the {what} of all {len(x):,} pairs are {x[0]:.6g}, so there is no correlation", where=where
        )


def evaluate(files: Sequence[Scored], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Result]:
    """Return the results per file and system; for several files also `all`, `mean` and `wmean`.

    Pairs are resampled within their file, the same ones for every system, so that differences are paired. A
    resample in which all scores or all cosines are equal has no correlation, and is left out. Raises
    DataError for a file that itself has no correlation, as `require_order` does.
    """
    for file in files:
        require_order(file.gold, where=file.name)
        for number, x in enumerate(file.predicted, 1):
            which = f" by system {number}" if len(file.predicted) > 1 else ""
            require_order(x, f"cosines{which}", where=file.name)
    sizes = [len(file.gold) for file in files]
    sets = [*files, _joined(files)] if len(files) > 1 else list(files)
    names = [scored.name for scored in sets] + (["mean", "wmean"] if len(files) > 1 else [])
    rows = sizes + [sum(sizes)] * (len(names) - len(sizes))
    points = _with_means(np.array([_figures(scored) for scored in sets]), sizes)
    samples = _with_means(np.array(list(_resampled(sets, sizes, resamples, seed))), sizes)
    return [
        _result(names[place], system, rows[place], points[place], samples[:, place])
        for place in range(len(names))
        for system in range(points.shape[1])
    ]


def _joined(files: Sequence[Scored]) -> Scored:
    gold = np.concatenate([file.gold for file in files])
    return Scored("all", gold, np.concatenate([file.predicted for file in files], axis=1))


def _figures(scored: Scored) -> Float64:
    """Return the Spearman and Pearson correlations of each system, `(systems, 2)`."""
    return np.array([(spearman(x, scored.gold), pearson(x, scored.gold)) for x in scored.predicted])


def _resampled(sets: Sequence[Scored], sizes: Sequence[int], resamples: int, seed: int) -> Iterator[Float64]:
    """Yield, per resample, the correlations of each set and system, `(sets, systems, 2)`."""
    ranked = [(Ranks(scored.gold), [Ranks(x) for x in scored.predicted]) for scored in sets]
    for drawn in draws(sizes, resamples, seed):
        parts = [*np.split(drawn, np.cumsum(sizes)[:-1]), drawn][: len(sets)]  # the last set holds all files
        figures = []
        for scored, (gold, predicted), counts in zip(sets, ranked, parts, strict=True):
            order = gold.within(counts)
            figures.append(
                [
                    (
                        weighted_correlation(ranks.within(counts), order, counts),
                        weighted_correlation(x, scored.gold, counts),
                    )
                    for x, ranks in zip(scored.predicted, predicted, strict=True)
                ]
            )
        yield np.array(figures)


def _with_means(figures: Float64, sizes: Sequence[int]) -> Float64:
    """Append the mean over files, and the mean weighted by rows, to values `(..., sets, systems, 2)`; return
    the values of a single file unchanged.
    """
    if len(sizes) == 1:
        return figures
    files = figures[..., : len(sizes), :, :]
    weighted = np.average(files, axis=-3, weights=sizes)
    return np.concatenate([figures, files.mean(axis=-3, keepdims=True), weighted[..., None, :, :]], axis=-3)


def _result(name: str, system: int, rows: int, points: Float64, samples: Float64) -> Result:
    """Return the result of one system from values `(systems, 2)` and resamples `(resamples, systems, 2)`."""
    value, drawn = points[system], samples[:, system]
    gain = difference(value[0] - points[0, 0], drawn[:, 0] - samples[:, 0, 0]) if system else None
    return Result(name, system, rows, estimate(value[0], drawn[:, 0]), estimate(value[1], drawn[:, 1]), gain)
