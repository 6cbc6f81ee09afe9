"""Retrieval by label among the texts themselves: what each text brings, as a query and as one to be found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedkit.embedding.encoder import Vectors
from embedkit.evaluation.bootstrap import Float64
from embedkit.evaluation.jackknife import with_effects
from embedkit.evaluation.labels.retrieval import CUTOFFS, LabelFigures, LabelSet, label_figures, rankings
from embedkit.evaluation.labels.tied_ranks import Places, Ties, chance_of_hit, precisions, ties_of


def among_themselves(vectors: Vectors, labels: Sequence[LabelSet]) -> LabelFigures:
    """Return the figures of texts `(texts, dim)` that each look among the others, with what each brings.

    A text that is drawn again then counts as a query and as what others find, without which intervals are
    too narrow. Takes twice the time of `label_figures`, and raises what it does.
    """
    figures = label_figures(vectors, labels)
    queries = len(figures.top1)
    if not queries:
        return figures
    mean = figures.values.mean(axis=1, keepdims=True)
    own = np.repeat(mean, len(labels), axis=1)  # a text that is left out brings nothing of its own
    own[:, np.delete(np.arange(len(labels)), figures.left_out)] = figures.values
    effects, squares = _effects(vectors, labels, own, mean)
    weight = len(labels) / queries
    return figures._replace(
        influence=with_effects(mean + weight * (own - mean), weight * effects, weight**2 * squares)
    )


def _effects(
    vectors: Vectors, labels: Sequence[LabelSet], own: Float64, mean: Float64
) -> tuple[Float64, Float64]:
    """Return how much the figures of all others lose without each text, `(figures, texts)`, and the sum of
    the squares of single losses, `(figures,)`.

    A query that has nothing to find without a text is left out, and loses what it had beyond the mean.
    """
    sums, squares = np.zeros_like(own), np.zeros(len(own))
    for query, (cosines, relevant) in enumerate(rankings(vectors, labels)):
        if not len(relevant):
            continue
        figures = own[:, query, None]
        losses = figures - _without_each_other(cosines, relevant)
        losses[:, query] = 0
        if len(relevant) == 1:
            losses[:, relevant] = figures - mean
        sums += losses
        squares += np.einsum("ij,ij->i", losses, losses)
    return sums, squares


def _without_each_other(cosines: Vectors, relevant: Places) -> Float64:
    """Return the figures of one query without each of the texts it looks among, `(figures, texts)`."""
    ties = ties_of(cosines, relevant)
    nearer = np.searchsorted(-ties.scores, -cosines, "left")  # groups of hits that are nearer than a text
    beside = ties.scores[np.minimum(nearer, len(ties.scores) - 1)] == cosines  # tied with the next group
    figures = _without_other(ties)[:, 2 * nearer + beside]
    figures[:, relevant] = _without_hit(ties)[:, nearer[relevant]]
    return figures


def _without_other(ties: Ties) -> Float64:
    """Return the figures without a text that is no hit, `(figures, 2 groups + 1)`: one before the first group
    of hits, one among it, one before the second, ..., one behind all.
    """
    above, tied, hits, before = ties.above, ties.tied, ties.hits, ties.before
    kept = _sums_before(precisions(above, tied, hits, before))
    moved = _sums_from(precisions(np.maximum(above - 1, 0), tied, hits, before))
    places = 2 * len(hits) + 1
    sums = np.empty(places)
    sums[0::2] = kept + moved
    sums[1::2] = kept[:-1] + precisions(above, tied - 1, hits, before) + moved[1:]
    first = int(above[0]), int(tied[0]), int(hits[0])
    chances = np.repeat([[chance_of_hit(k, *first)] for k in CUTOFFS], places, axis=1)
    chances[:, 0] = [chance_of_hit(k, max(first[0] - 1, 0), *first[1:]) for k in CUTOFFS]
    chances[:, 1] = [chance_of_hit(k, first[0], first[1] - 1, first[2]) for k in CUTOFFS]
    return np.vstack([chances, sums / hits.sum()])


def _without_hit(ties: Ties) -> Float64:
    """Return the figures without a hit, `(figures, groups)`: one of the first group, of the second, ..."""
    above, tied, hits, before = ties.above, ties.tied, ties.hits, ties.before
    kept = _sums_before(precisions(above, tied, hits, before))
    moved = _sums_from(precisions(np.maximum(above - 1, 0), tied, hits, np.maximum(before - 1, 0)))
    sums = kept[:-1] + precisions(above, tied - 1, hits - 1, before) + moved[1:]
    first = int(above[0]), int(tied[0]), int(hits[0])
    chances = np.repeat([[chance_of_hit(k, *first)] for k in CUTOFFS], len(hits), axis=1)
    if hits[0] > 1:
        next_first = first[0], first[1] - 1, first[2] - 1
    elif len(hits) > 1:
        next_first = int(above[1]) - 1, int(tied[1]), int(hits[1])
    else:
        next_first = first  # nothing is left to find, and the query is not counted
    chances[:, 0] = [chance_of_hit(k, *next_first) for k in CUTOFFS]
    return np.vstack([chances, sums / max(int(hits.sum()) - 1, 1)])


def _sums_before(values: Float64) -> Float64:
    """Return the sums of all values before each place, `(values + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _sums_from(values: Float64) -> Float64:
    """Return the sums of all values from each place on, `(values + 1,)`."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
