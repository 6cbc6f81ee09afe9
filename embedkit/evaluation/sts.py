"""Semantic textual similarity: do cosines put pairs of texts in the order in which people put them?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embedkit.data.identity import Identity
from embedkit.data.text.pairs import Pair
from embedkit.data.text.records import Record
from embedkit.embedding.batching import encode_records
from embedkit.embedding.encoder import Encoder, Role, Vectors, require_finite
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import RESAMPLES, Difference, Estimate, difference, draws, estimate
from embedkit.evaluation.ranks import ROUNDING, Ranks, weighted_correlation

Float64 = NDArray[np.float64]

LEAST = 3  # pairs of a correlation; that of two is 1 or -1, whatever they are
_BLOCK_ROWS = 8192  # pairs whose cosines are taken at a time


class Scored(NamedTuple):
    """One file: the scores people gave `(rows,)`, and those of each system `(systems, rows)`."""

    name: str
    gold: Float64
    predicted: Float64


class Result(NamedTuple):
    """The figures of one system on one file, or on several by the aggregation that `name` says."""

    name: str  # of the file; all: pairs of all files together; mean, wmean: of the figures, wmean by rows
    system: int
    rows: int
    spearman: Estimate
    pearson: Estimate
    gain: Difference | None  # of Spearman over system 0


class Remembered:
    """An encoder that has encoded its texts already."""

    def __init__(self, identity: Identity, places: dict[str, int], vectors: Vectors) -> None:
        self._identity, self._places, self._vectors = identity, places, vectors

    @property
    def identity(self) -> Identity:
        """That of the encoder."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return the vectors of texts, `(len(texts), dimension)`, as they were encoded, whatever the role."""
        return self._vectors[[self._places[text] for text in texts]]


def remember(
    encoder: Encoder,
    texts: Iterable[str],
    follow: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    *,
    role: Role = "document",
) -> Remembered:
    """Encode each distinct text once; `follow` sees the windows pass, each ending in its vectors.

    Raises DataError, naming the text, for a vector that is not finite.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    records = (Record(str(place), text, {}) for text, place in places.items())
    blocks = []
    for window in follow(encode_records(encoder, records, role)):
        require_finite(window.vectors, [record.text for record in window.records])
        blocks.append(window.vectors)
    empty = np.empty((0, encoder.identity.dimension), dtype=np.float32)
    return Remembered(encoder.identity, places, np.concatenate([empty, *blocks]))


def cosines(encoder: Encoder, pairs: Sequence[Pair]) -> Float64:
    """Return the cosine of each pair, `(len(pairs),)`; each distinct text is encoded once, as a document.

    Raises what `remember` does.
    """
    encoded = remember(encoder, texts_of(pairs))
    starts = range(0, len(pairs), _BLOCK_ROWS)
    blocks = (pairs[start : start + _BLOCK_ROWS] for start in starts)
    return np.concatenate([np.empty(0), *(_cosines(encoded, block) for block in blocks)])


def score(name: str, pairs: Sequence[Pair], encoders: Sequence[Encoder]) -> Scored:
    """Return what people and each encoder say of the pairs of the file `name`."""
    gold = np.array([pair.score for pair in pairs])
    return Scored(name, gold, np.array([cosines(encoder, pairs) for encoder in encoders]))


def texts_of(pairs: Iterable[Pair]) -> Iterator[str]:
    """Yield both texts of each pair, as they come."""
    for pair in pairs:
        yield from pair[:2]


def _cosines(encoder: Encoder, pairs: Sequence[Pair]) -> Float64:
    X = encoder.encode([pair.first for pair in pairs]).astype(np.float64)
    Y = encoder.encode([pair.second for pair in pairs]).astype(np.float64)
    dot = partial(np.einsum, "ij,ij->i")
    return quotients(dot(X, Y), dot(X, X), dot(Y, Y))


def quotients(xy: Float64, xx: Float64, yy: Float64) -> Float64:
    """Return xy / sqrt(xx yy), cosines from inner products; 0 for a vector of length zero."""
    squares = xx * yy  # the square root of a square is exact: equal vectors have the cosine 1, and tie
    return np.divide(xy, np.sqrt(squares), out=np.zeros_like(xy), where=squares > 0)


def spearman(predicted: ArrayLike, gold: ArrayLike) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; 0 where either side is constant.

    Raises DataError for a number that is not finite, and MismatchError for sides of other lengths.
    """
    from scipy.stats import rankdata

    x, y = _columns(predicted, gold)
    return pearson(rankdata(x), rankdata(y))


def pearson(predicted: ArrayLike, gold: ArrayLike) -> float:
    """Return Pearson's correlation; 0 where either side is constant, which orders nothing.

    Raises what `spearman` does.
    """
    from scipy.stats import pearsonr

    x, y = _columns(predicted, gold)
    return 0.0 if _constant(x) or _constant(y) else float(pearsonr(x, y).statistic)


def _columns(predicted: ArrayLike, gold: ArrayLike) -> tuple[Float64, Float64]:
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise MismatchError(f"there are scores of shape {x.shape} for pairs of shape {y.shape}")
    for side in (x, y):
        if not np.isfinite(side).all():
            place = int(np.argmin(np.isfinite(side)))
            raise DataError(f"the score of pair {place + 1} is {side[place]}, which is not a finite number")
    return x, y


def _constant(x: Float64) -> bool:
    return len(x) < 2 or float(np.var(x)) <= ROUNDING * float(np.mean(x**2))


def require_order(scores: ArrayLike, what: str = "scores", *, where: str | None = None) -> None:
    """Raise DataError for scores `(pairs,)` that have no correlation with anything: fewer than `LEAST` of
    them, or all of them equal; `what` names them.
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
    """Return the figures of each file and system; of several files also `all`, `mean` and `wmean`.

    Pairs are drawn again within their file, the same ones for every system, so that gains are paired. A
    resample in which all scores or all cosines are equal has no correlation, and is left out. Raises
    DataError for a file that has no correlation itself, as `require_order` does.
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
    """Return Spearman and Pearson of each system, `(systems, 2)`."""
    return np.array([(spearman(x, scored.gold), pearson(x, scored.gold)) for x in scored.predicted])


def _resampled(sets: Sequence[Scored], sizes: Sequence[int], resamples: int, seed: int) -> Iterator[Float64]:
    """Yield the figures of each set and system, `(sets, systems, 2)`, for each resample."""
    ranked = [(Ranks(scored.gold), [Ranks(x) for x in scored.predicted]) for scored in sets]
    for drawn in draws(sizes, resamples, seed):
        parts = [*np.split(drawn, np.cumsum(sizes)[:-1]), drawn][: len(sets)]  # the last set is all of them
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
    """Add the mean over files, and that by rows, to figures `(..., sets, systems, 2)` of several files."""
    if len(sizes) == 1:
        return figures
    files = figures[..., : len(sizes), :, :]
    weighted = np.average(files, axis=-3, weights=sizes)
    return np.concatenate([figures, files.mean(axis=-3, keepdims=True), weighted[..., None, :, :]], axis=-3)


def _result(name: str, system: int, rows: int, points: Float64, samples: Float64) -> Result:
    """Return one result from figures `(systems, 2)` and their resamples `(resamples, systems, 2)`."""
    value, drawn = points[system], samples[:, system]
    gain = difference(value[0] - points[0, 0], drawn[:, 0] - samples[:, 0, 0]) if system else None
    return Result(name, system, rows, estimate(value[0], drawn[:, 0]), estimate(value[1], drawn[:, 1]), gain)
