"""Fusion of vectors and words: one ranking from the similarities and the BM25 scores of a query.

`sum` adds standardised scores: weight * (s - mean s) / sd s + (1 - weight) * (b - mean b) / sd b, with means
and standard deviations over all documents. For BM25 scores these are exact; for similarities they are
estimated on a sample of 2,048 documents with text (exact for fewer). `rrf` is reciprocal rank fusion
(Cormack, Clarke and Buettcher 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from embedkit.errors import UsageError
from embedkit.indexing.kind import Floats, Mask, Rows
from embedkit.indexing.lexical.bm25 import Lexical, Statistics, best_rows
from embedkit.indexing.lexical.operators import LexicalQuery
from embedkit.indexing.ranking import Ranking

WEIGHT = 0.7  # default share of the similarities, for `sum`
HASHED_WEIGHT = 0.15  # that of `hash:` vectors, which count n-grams of words: BM25 ranks better
STATIC_WEIGHT = 0.5  # that of static encoders, whose similarities know less than a network's
EQUAL = 0.5  # that for `rrf`
FUSIONS = ("sum", "rrf")
RRF_CONSTANT, RRF_DEPTH = 60, 1000  # ranks are counted to this depth
_ROUNDING = 1e-6  # share of the largest possible similarity; smaller differences are those of rounding
_CANDIDATES = 200  # at first, of each of the two rankings
_MORE = 4  # times the candidates, until the best hits are certain
_MOST = 4096  # candidates; beyond, hits are the best among the candidates


class StoredVectors(Protocol):
    """The vectors of an index."""

    @property
    def sampled_vectors(self) -> Floats:
        """Return the vectors on which the spread of similarities is estimated."""

    def prepared(self, queries: Floats) -> Floats:
        """Return queries in the form of stored rows."""

    def vectors(self, rows: Rows) -> Floats:
        """Return the stored vectors of some rows."""


Search = Callable[[Floats, int, "Mask | None"], tuple[Floats, Rows]]


@dataclass(frozen=True)
class Fusion:
    """How the two rankings become one; `weight` is the share of the similarities, from 0 to 1."""

    weight: float = WEIGHT
    method: Literal["sum", "rrf"] = "sum"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise UsageError(f"the weight must lie between 0 and 1, got {self.weight:g}", where="`hybrid`")
        if self.method not in FUSIONS:
            raise UsageError(f"unknown fusion {self.method!r}", hint=f"known: {', '.join(FUSIONS)}")


class Parts(NamedTuple):
    """Candidates of a query: their rows, and their standardised similarities and BM25 scores."""

    rows: Rows
    dense: Floats
    lexical: Floats


@dataclass(frozen=True)
class FusedSearch:
    """A search of an index by vectors and words; `search` returns the nearest rows of a query's vector."""

    index: StoredVectors
    lexical: Lexical
    fusion: Fusion
    search: Search
    passing: Mask | None = None  # (stored_rows,): rows that may be hits

    def rankings(self, vectors: Floats, queries: Sequence[LexicalQuery], k: int) -> list[Ranking]:
        """Return the best `k` rows of each query, given its vector and its terms."""
        prepared = self.index.prepared(vectors)
        spreads = self._spreads(prepared)
        masks = [allowed_rows(self.lexical, query, self.passing) for query in queries]
        count = self.candidates(k)
        alike = [place for place, mask in enumerate(masks) if mask is self.passing]
        nearest: dict[int, Rows] = {}
        if alike:
            _, rows = self.search(vectors[alike], count, self.passing)
            nearest = dict(zip(alike, rows, strict=True))
        found = []
        for place, (query, mask, spread) in enumerate(zip(queries, masks, spreads, strict=True)):
            one = _FusedQuery(self, vectors[place : place + 1], prepared[place], mask, spread)
            scores = self.lexical.scores(query.terms)
            rows = nearest[place] if place in nearest else one.nearest(count)
            found.append(
                one.rrf(scores, rows, k) if self.fusion.method == "rrf" else one.sum(scores, rows, k)
            )
        return found

    def parts(self, vectors: Floats, queries: Sequence[LexicalQuery], depth: int) -> Iterator[Parts]:
        """Yield the parts of the fused scores per literal query: of its nearest `depth` rows, and of the best
        `depth` by words.
        """
        prepared = self.index.prepared(vectors)
        _, nearest = self.search(vectors, depth, self.passing)
        for query, own, rows, spread in zip(queries, prepared, nearest, self._spreads(prepared), strict=True):
            scores = self.lexical.scores(query.terms)
            rows = np.union1d(rows, best_rows(scores, depth, self.passing))
            dense = _standard(self.index.vectors(rows) @ own, spread)
            yield Parts(rows, dense, _standard(scores[rows], self.lexical.statistics(scores)))

    def scores(self, vector: Floats, query: LexicalQuery, rows: Rows) -> Floats:
        """Return the fused scores by `sum` of some rows, for a query's vector `(dimension,)` and terms."""
        prepared, worded = self.index.prepared(vector[None]), self.lexical.scores(query.terms)
        dense = _standard(self.index.vectors(rows) @ prepared[0], self._spreads(prepared)[0])
        lexical = _standard(worded[rows], self.lexical.statistics(worded))
        return self.fusion.weight * dense + (1 - self.fusion.weight) * lexical

    def candidates(self, k: int) -> int:
        """Return how many candidates of each ranking are considered at first for `k` hits."""
        return max(k, RRF_DEPTH) if self.fusion.method == "rrf" else max(2 * k, _CANDIDATES)

    def _spreads(self, prepared: Floats) -> list[Statistics]:
        """Return, per query, the mean and deviation of its similarities to the documents."""
        sampled = self.index.sampled_vectors
        if not len(sampled):
            return [Statistics(0.0, 0.0)] * len(prepared)
        similarities = prepared @ sampled.T
        means, deviations = similarities.mean(axis=1), similarities.std(axis=1)
        largest = np.linalg.norm(prepared, axis=1) * np.linalg.norm(sampled, axis=1).max()
        deviations[deviations <= _ROUNDING * largest] = 0
        return [Statistics(*pair) for pair in zip(means.tolist(), deviations.tolist(), strict=True)]


def allowed_rows(lexical: Lexical, query: LexicalQuery, passing: Mask | None) -> Mask | None:
    """Return the rows that pass and satisfy the operators of a query; `passing` itself without operators."""
    allowed = passing
    for phrase in query.required:
        held = lexical.holding(phrase)
        allowed = held if allowed is None else allowed & held
    for phrase in query.excluded:
        lacking = ~lexical.holding(phrase)
        allowed = lacking if allowed is None else allowed & lacking
    return allowed


def lexical_ranking(lexical: Lexical, query: LexicalQuery, k: int, passing: Mask | None = None) -> Ranking:
    """Return the best `k` rows of a query by words alone, scored by BM25."""
    scores = lexical.scores(query.terms)
    rows = best_rows(scores, k, allowed_rows(lexical, query, passing))
    return Ranking(scores[rows], rows)


class _FusedQuery(NamedTuple):
    """One query of a fused search."""

    parent: FusedSearch
    vector: Floats  # (1, dimension), as the encoder returned it
    prepared: Floats  # (dimension,)
    allowed: Mask | None
    spread: Statistics

    def nearest(self, count: int) -> Rows:
        """Return the nearest `count` rows by similarity."""
        _, rows = self.parent.search(self.vector, count, self.allowed)
        nearest: Rows = rows[0]
        return nearest

    def sum(self, scores: Floats, nearest: Rows, k: int) -> Ranking:
        """Return the best `k` by the sum of standardised scores.

        No row outside both rankings can exceed the sum of their last scores (the threshold algorithm, Fagin
        et al. 2003), so the number of candidates grows until the k-th best reaches this sum.
        """
        weight, spread = self.parent.fusion.weight, self.parent.lexical.statistics(scores)
        count = self.parent.candidates(k)
        while True:
            worded = best_rows(scores, count, self.allowed)
            rows = np.union1d(nearest, worded)
            dense = self.parent.index.vectors(rows) @ self.prepared
            fused = weight * _standard(dense, self.spread) + (1 - weight) * _standard(scores[rows], spread)
            order = np.lexsort((rows, -fused))[:k]
            best = Ranking(fused[order], rows[order], dense[order], scores[rows[order]])
            if len(nearest) < count or count >= _MOST or not len(order):
                return best
            last = np.array([dense[np.searchsorted(rows, nearest)].min()], np.float32)
            last_worded = scores[worded[-1:]] if len(worded) == count else np.zeros(1, np.float32)
            bound = weight * _standard(last, self.spread) + (1 - weight) * _standard(last_worded, spread)
            if len(order) == k and best.scores[-1] >= bound[0]:
                return best
            count = min(_MORE * count, max(_MOST, count))
            nearest = self.nearest(count)

    def rrf(self, scores: Floats, nearest: Rows, k: int) -> Ranking:
        """Return the best `k` by the weighted sum of reciprocal ranks."""
        weight = self.parent.fusion.weight
        worded = best_rows(scores, self.parent.candidates(k), self.allowed)
        rows = np.union1d(nearest, worded)
        fused = np.zeros(len(rows), np.float32)
        for share, ranked in ((weight, nearest), (1 - weight, worded)):
            ranks = np.arange(1, len(ranked) + 1)
            fused[np.searchsorted(rows, ranked)] += 2 * share / (RRF_CONSTANT + ranks)
        order = np.lexsort((rows, -fused))[:k]
        dense = self.parent.index.vectors(rows[order]) @ self.prepared
        return Ranking(fused[order], rows[order], dense, scores[rows[order]])


def _standard(scores: Floats, spread: Statistics) -> Floats:
    """Return scores in standard deviations from the mean; 0 where all documents have the same score."""
    return (
        (scores - np.float32(spread.mean)) / np.float32(spread.deviation) if spread.deviation else 0 * scores
    )
