"""Evaluate retrieval by label among the texts themselves, with each text's influence as query and as hit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.embedding.encoder import Vectors
from embedkit.evaluation.jackknife import with_effects
from embedkit.evaluation.labels.label_retrieval import (
    CUTOFFS,
    LabelFigures,
    LabelSet,
    label_figures,
    rankings,
)
from embedkit.evaluation.labels.tied_ranks import Places, Ties, chance_of_hit, precisions, ties_of


def among_themselves(vectors: Vectors, labels: Sequence[LabelSet]) -> LabelFigures:
    """Return the values of texts `(texts, dim)` that each search the others, with the influence of each text.

    A text that a resample draws then counts both as a query and as a hit of others; otherwise intervals are
    too narrow. This takes twice the time of `label_figures`, and raises the same errors.
    """
    figures = label_figures(vectors, labels)
    queries = len(figures.top1)
    if not queries:
        return figures
    mean = figures.values.mean(axis=1, keepdims=True)
    own = np.repeat(mean, len(labels), axis=1)  # a query that is left out has the mean
    own[:, np.delete(np.arange(len(labels)), figures.left_out)] = figures.values
    effects, squares = _effects(vectors, labels, own, mean)
    weight = len(labels) / queries
    return figures._replace(
        influence=with_effects(mean + weight * (own - mean), weight * effects, weight**2 * squares)
    )


def _effects(
    vectors: Vectors, labels: Sequence[LabelSet], own: Float64, mean: Float64
) -> tuple[Float64, Float64]:
    """Return, per text, the loss in the values of all other queries when the text is removed,
    `(measures, texts)`, and the sum of the squared single losses, `(measures,)`.

    When a query has no other relevant text, removing its only one leaves the query out: the loss is then its
    value minus the mean.
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
    """Return the values of one query when each of the texts is removed in turn, `(measures, texts)`."""
    ties = ties_of(cosines, relevant)
    nearer = np.searchsorted(-ties.scores, -cosines, "left")  # groups of hits nearer than each text
    beside = ties.scores[np.minimum(nearer, len(ties.scores) - 1)] == cosines  # tied with the next group
    figures = _without_other(ties)[:, 2 * nearer + beside]
    figures[:, relevant] = _without_hit(ties)[:, nearer[relevant]]
    return figures


def _without_other(ties: Ties) -> Float64:
    """Return the values when a text that is not a hit is removed, `(measures, 2 groups + 1)`: a text before
    the first group of hits, one tied with it, one before the second group, ..., one after all groups.
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
    """Return the values when a hit of the first group, the second, ... is removed, `(measures, groups)`."""
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
        next_first = first  # the only hit is removed; the caller leaves the query out
    chances[:, 0] = [chance_of_hit(k, *next_first) for k in CUTOFFS]
    return np.vstack([chances, sums / max(int(hits.sum()) - 1, 1)])


def _sums_before(values: Float64) -> Float64:
    """Return the sum of all values before each position, `(values + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _sums_from(values: Float64) -> Float64:
    """Return the sum of all values from each position on, `(values + 1,)`."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
