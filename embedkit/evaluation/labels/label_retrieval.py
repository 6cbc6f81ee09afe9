"""Retrieval by label: measure whether a text finds texts of its own label before it finds other texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float64
from embedkit.data.text.labelled import Labelled
from embedkit.embedding.encoder import Vectors, unit_length
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import RESAMPLES, estimate, share_estimate
from embedkit.evaluation.labels.tied_ranks import chance_of_hit, precisions, ties_of
from embedkit.evaluation.means import Result, mean_results

Places = NDArray[np.int64]
LabelSet = tuple[str, ...] | frozenset[str]

FIGURES = ("top-1", "top-5", "top-10", "MAP")
CUTOFFS = (1, 5, 10)

_BLOCK_CELLS = 2**23  # cosines held at a time


class LabelFigures(NamedTuple):
    """The values of each query, `(queries,)`, over the queries that share a label with a text of the
    gallery.
    """

    top1: Float64  # probability of a hit in first place: 0 or 1, or between them where texts tie
    top5: Float64  # probability of a hit in the first five
    top10: Float64
    average_precision: Float64
    left_out: Places  # rows of queries that share a label with no text in the gallery
    influence: Float64 | None = None  # (measures, texts): set by influence.among_themselves

    @property
    def values(self) -> Float64:
        """The values of all measures per query, `(measures, queries)`."""
        return np.array(self[: len(FIGURES)])


def label_figures(
    queries: Vectors,
    labels: Sequence[LabelSet],
    gallery: Vectors | None = None,
    gallery_labels: Sequence[LabelSet] | None = None,
) -> LabelFigures:
    """Rank a gallery `(texts, dim)` by cosine for each query `(queries, dim)`, and return the values; a text
    that shares a label with the query is a hit.

    Without a gallery every query searches the other queries. Texts of equal cosine tie (equal vectors always
    do), and values are expectations over all orders of tied texts (McSherry and Najork 2008, ECIR, section
    3), so that they do not depend on the order of files or on chance. Raises MismatchError when the numbers
    of labels and rows differ, and DataError for a vector that is not finite.
    """
    figures, left_out = [], []
    for query, (cosines, relevant) in enumerate(rankings(queries, labels, gallery, gallery_labels)):
        if len(relevant):
            figures.append(_figures(cosines, relevant))
        else:
            left_out.append(query)
    top1, top5, top10, precision = np.array(figures, dtype=np.float64).reshape(-1, len(FIGURES)).T
    return LabelFigures(top1, top5, top10, precision, np.array(left_out, dtype=np.int64))


def rankings(
    queries: Vectors,
    labels: Sequence[LabelSet],
    gallery: Vectors | None = None,
    gallery_labels: Sequence[LabelSet] | None = None,
) -> Iterator[tuple[Vectors, Places]]:
    """Yield, per query, its cosines to the gallery `(texts,)`, and the rows that share a label with it.

    Without a gallery a query's cosine to itself is minus infinity. Raises the errors of `label_figures`.
    """
    if (gallery is None) != (gallery_labels is None):
        raise MismatchError("a gallery and its labels must be given together")
    others = labels if gallery_labels is None else gallery_labels
    Q = _unit(queries, labels, "queries")
    G = Q if gallery is None else _unit(gallery, others, "the gallery")
    if Q.shape[1] != G.shape[1]:
        raise MismatchError(f"queries have {Q.shape[1]} dimensions, the gallery has {G.shape[1]}")
    members = _members(others)
    for query, cosines in enumerate(_cosines(Q, G)):
        relevant = _sharing(labels[query], members)
        if gallery is None:
            cosines[query], relevant = -np.inf, relevant[relevant != query]
        yield cosines, relevant


def _unit(vectors: Vectors, labels: Sequence[LabelSet], what: str) -> Vectors:
    if len(vectors) != len(labels):
        raise MismatchError(f"{what}: got {len(labels)} rows of labels for {len(vectors)} vectors")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise DataError(f"{what}: the vector of row {row:,} has a number that is not finite")
    return unit_length(vectors)


def _members(labels: Sequence[LabelSet]) -> dict[str, Places]:
    """Return the rows of each label, in order."""
    rows: dict[str, list[int]] = {}
    for row, names in enumerate(labels):
        for name in set(names):
            rows.setdefault(name, []).append(row)
    return {name: np.array(places, dtype=np.int64) for name, places in rows.items()}


def _sharing(names: LabelSet, members: dict[str, Places]) -> Places:
    """Return the distinct rows that have one of the labels `names`."""
    found = [members[name] for name in names if name in members]
    if len(found) == 1:
        return found[0]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))


def _cosines(Q: Vectors, G: Vectors) -> Iterator[Vectors]:
    """Yield, per query, its cosines to the gallery, `(texts,)`, exactly equal for equal vectors."""
    rows = np.ascontiguousarray(G).view(f"V{G.shape[1] * G.itemsize}")[:, 0]  # a row's bytes as one value
    _, first, places = np.unique(rows, return_index=True, return_inverse=True)
    distinct = G[first].T
    step = max(1, _BLOCK_CELLS // max(1, len(G)))
    for start in range(0, len(Q), step):
        yield from (Q[start : start + step] @ distinct)[:, places]


def _figures(cosines: Vectors, relevant: Places) -> tuple[float, ...]:
    """Return the probabilities of a hit in the first 1, 5 and 10, and the expected average precision."""
    ties = ties_of(cosines, relevant)
    first = int(ties.above[0]), int(ties.tied[0]), int(ties.hits[0])
    precision = precisions(ties.above, ties.tied, ties.hits, ties.before).sum() / ties.hits.sum()
    return *(chance_of_hit(k, *first) for k in CUTOFFS), float(precision)


def evaluate_labels(
    systems: Sequence[LabelFigures], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Result]:
    """Return each measure of each system with its interval; the same queries are drawn for all systems.

    When the values include `influence`, texts are drawn instead of queries. Raises DataError when no query
    is left, and MismatchError when systems left out different queries.
    """
    if any(not np.array_equal(each.left_out, systems[0].left_out) for each in systems):
        raise MismatchError("the systems left out different queries")
    if not len(systems[0].top1):
        raise DataError("no query shares a label with another text")
    values = [each.values if each.influence is None else each.influence for each in systems]
    interval = estimate if systems[0].influence is None else share_estimate
    return mean_results(FIGURES, np.array(values), resamples=resamples, seed=seed, interval=interval)


def held_out(labelled: Labelled, trained: Collection[str]) -> Labelled:
    """Return the texts of which no label was in the training data."""
    known = frozenset(trained)
    return replace(labelled, rows=[row for row in labelled.rows if known.isdisjoint(row.labels)])


def seen_only(labelled: Labelled, trained: Collection[str]) -> Labelled:
    """Return the texts of which all labels were in the training data."""
    known = frozenset(trained)
    return replace(labelled, rows=[row for row in labelled.rows if known.issuperset(row.labels)])
