"""Choose the weight of fused search on judged queries by cross-validation.

Every query is measured with the weight that is best on the queries of other folds. If these values exceed
those of the default weight with certainty, the weight that is best on all queries replaces the default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.data.text.qrels import compared
from embedkit.data.text.record import Record
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import RESAMPLES, Difference
from embedkit.evaluation.means import Result, mean_results
from embedkit.evaluation.measures import Measure, parse_measures, values_of
from embedkit.evaluation.retrieval import Task, ranked
from embedkit.indexing.kind import Floats
from embedkit.indexing.lexical.fusion import WEIGHT, FusedSearch, Fusion, Parts
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.lexical.tuned_weight import TunedWeight
from embedkit.indexing.store import Index

WEIGHTS = tuple(step / 20 for step in range(21))
MEASURE = "nDCG@10"
FOLDS = 10
DEPTH = 1000  # candidates of each of the two rankings
_BLOCK_QUERIES = 64  # queries whose candidates are held at a time


class WeightChoice(NamedTuple):
    """The weight of `WEIGHTS` that is best on all queries; per query, the value with the default weight and
    that with the weight that is best on other folds, both `(queries,)`; and the difference of their means.
    """

    best: float
    default: Float64
    held_out: Float64
    gain: Difference

    @property
    def is_certain(self) -> bool:
        """Whether the whole interval of the gain lies above zero."""
        return self.gain.low > 0


def tune_weight(
    index: Index,
    vectors: Floats,
    queries: Sequence[Record],
    task: Task,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> TunedWeight | None:
    """Return the weight to keep for an index with `indexing.edit.keep_weight`, or None where the default
    stays, from judged queries with their vectors `(queries, dimension)`.

    Raises DataError for fewer than two queries per fold.
    """
    measure = parse_measures([MEASURE])[0]
    values = weight_values(index, vectors, queries, task, measure)
    choice = choose_weight(values, index.default_weight, seed=seed, resamples=resamples)
    return kept_weight(choice, measure)


def weight_values(
    index: Index, vectors: Floats, queries: Sequence[Record], task: Task, measure: Measure
) -> Float64:
    """Return the value of a measure per weight and query, `(weights, queries)`.

    The candidates are the best `DEPTH` documents by vectors and by words; the texts of queries are taken
    literally.
    """
    search = FusedSearch(index, index.lexical, Fusion(), index.search)
    found = [np.empty((len(WEIGHTS), 0))]
    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = queries[start : start + _BLOCK_QUERIES]
        words = [literal_query(record.text, index.lexical.settings) for record in block]
        candidates = search.parts(vectors[start : start + len(block)], words, DEPTH)
        judged, rankings = [], []
        for record, parts in zip(block, candidates, strict=True):
            query = compared(record.id)
            for scores in _scores(index, parts, measure.cutoff):
                if not task.keep_self:
                    scores.pop(query, None)
                judged.append(task.qrels[query])
                rankings.append(ranked(scores)[: measure.cutoff or None])
        found.append(values_of([measure], judged, rankings).reshape(len(block), len(WEIGHTS)).T)
    return np.concatenate(found, axis=1)


def _scores(index: Index, parts: Parts, cutoff: int) -> Iterator[dict[str, float]]:
    """Yield the fused scores of documents per weight: of all that the first `cutoff` may contain, and of one
    more, since a document with the query's own id may be left out.
    """
    shares = np.array(WEIGHTS)[:, None]
    fused = shares.astype(np.float32) * parts.dense + (1 - shares).astype(np.float32) * parts.lexical
    rows = parts.rows
    if 0 < cutoff < len(rows) - 1:
        least = np.partition(fused, -cutoff - 1, axis=1)[:, -cutoff - 1]
        needed = (fused >= least[:, None]).any(axis=0)
        fused, rows = fused[:, needed], rows[needed]
    documents = [compared(document["id"]) for document in index.take(rows, ["id"])]
    for line in fused:
        order = np.argsort(line)
        yield {documents[place]: float(line[place]) for place in order}  # the best score of an id wins


def choose_weight(
    values: Float64, default: float = WEIGHT, *, seed: int = 0, resamples: int = RESAMPLES
) -> WeightChoice:
    """Choose a weight by values `(weights, queries)`, and judge the choice on held-out queries; `default` is
    one of `WEIGHTS`.

    Where weights are equally good, the nearest to the default is chosen. Raises DataError for fewer than two
    queries per fold.
    """
    queries = values.shape[1]
    if queries < 2 * FOLDS:
        raise DataError(f"a weight is chosen on at least {2 * FOLDS} judged queries, found {queries}")
    folds = np.random.default_rng(seed).permutation(queries) % FOLDS
    held_out = np.empty(queries)
    for fold in range(FOLDS):
        inside = folds == fold
        held_out[inside] = values[_best(values[:, ~inside], default), inside]
    own = values[WEIGHTS.index(default)]
    gain = mean_results([""], np.stack([own, held_out])[:, None], resamples=resamples, seed=seed)[1].gain
    assert gain is not None
    return WeightChoice(WEIGHTS[_best(values, default)], own, held_out, gain)


def kept_weight(choice: WeightChoice, measure: Measure) -> TunedWeight | None:
    """Return the record of a choice for the index; None where no gain is certain and the default stays."""
    if not choice.is_certain:
        return None
    value, default, (low, high) = choice.held_out.mean(), choice.default.mean(), choice.gain[1:3]
    return TunedWeight(
        choice.best, measure.name, len(choice.held_out), float(value), float(default), low, high
    )


def weight_results(
    values: Float64, measure: Measure, default: float = WEIGHT, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Result]:
    """Return the mean of the measure per weight, with its interval and its difference from the default."""
    first = WEIGHTS.index(default)
    order = [first, *(place for place in range(len(WEIGHTS)) if place != first)]
    found = mean_results([measure.name], values[order][:, None], resamples=resamples, seed=seed)
    return [result for _, result in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def _best(values: Float64, default: float) -> int:
    means = values.mean(axis=1)
    best = np.flatnonzero(means >= means.max() - 1e-12)
    return int(min(best, key=lambda place: abs(WEIGHTS[place] - default)))
