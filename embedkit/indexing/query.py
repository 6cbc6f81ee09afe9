"""Selection of hits: which documents may be hits, exact or approximate search, thresholds and duplicates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from embedkit.embedding.encoder import unit_length
from embedkit.errors import UsageError
from embedkit.indexing.hits import Hit
from embedkit.indexing.kind import Floats, Mask, Rows
from embedkit.indexing.nearest import FEW, nearest
from embedkit.indexing.ranking import Ranking
from embedkit.indexing.store import Index

if TYPE_CHECKING:
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.lexical.operators import LexicalQuery

_BLOCK_ROWS = 16384
_BLOCK_BYTES = 1 << 22  # of vectors that few queries are compared with at a time
_SCANNED = 1 << 28  # bytes; an estimate of where one scan takes as long as FAISS with its import


@dataclass(frozen=True)
class Query:
    """The parameters of a query besides its vectors; by default the best `k` of all documents."""

    k: int = 10
    passing: Mask | None = None  # (stored_rows,): rows that may be hits
    exact: bool = False  # compare with every stored vector, for every kind
    min_score: float | None = None
    dedupe: float | None = None  # omit a hit whose cosine to a better one reaches this
    fusion: Fusion | None = None  # search by vectors and words together
    explain: bool = False  # name the terms that matched, in a search by words

    def __post_init__(self) -> None:
        if self.dedupe is not None and not 0 < self.dedupe <= 1:
            raise UsageError(f"must be a cosine above 0 and at most 1, got {self.dedupe}", where="`dedupe`")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise UsageError(f"must be a finite number, got {self.min_score}", where="`min_score`")


def hits(
    index: Index,
    vectors: Floats | None,
    query: Query,
    columns: list[str] | None = None,
    texts: Sequence[LexicalQuery] = (),
) -> list[list[Hit]]:
    """Return the hits of each query, best first.

    The queries are `vectors`, `(queries, dimension)`; a fused search also takes their `texts`, and a search
    by words alone has no vectors.
    """
    if query.dedupe is None:
        found = rankings(index, vectors, query, texts)
    else:
        found = [
            _distinct(index, vectors, texts, query, place)
            for place in range(len(texts) if vectors is None else len(vectors))
        ]
    if query.min_score is not None:
        found = [each.taken(each.scores >= query.min_score) for each in found]
    ranked = index.ranked(found, columns)
    return ranked if not query.explain else _explained(index, texts, found, ranked)


def _explained(
    index: Index, texts: Sequence[LexicalQuery], rankings: Sequence[Ranking], found: list[list[Hit]]
) -> list[list[Hit]]:
    return [
        [
            hit._replace(terms=terms)
            for hit, terms in zip(line, index.lexical.explained(text.terms, each.rows), strict=True)
        ]
        for text, each, line in zip(texts, rankings, found, strict=True)
    ]


def rankings(
    index: Index, vectors: Floats | None, query: Query, texts: Sequence[LexicalQuery] = ()
) -> list[Ranking]:
    """Return the best `query.k` rows of each query, by vectors, by words, or by both; near-duplicates and low
    scores are not left out.
    """
    if vectors is None:
        from embedkit.indexing.lexical.fusion import lexical_ranking

        return [lexical_ranking(index.lexical, text, query.k, query.passing) for text in texts]
    search = partial(exact_search, index) if query.exact else index.search
    if query.fusion is None:
        return [Ranking(*pair) for pair in zip(*search(vectors, query.k, query.passing), strict=True)]
    from embedkit.indexing.lexical.fusion import FusedSearch

    fused = FusedSearch(index, index.lexical, query.fusion, search, query.passing)
    return fused.rankings(vectors, texts, query.k)


def exact_search(index: Index, vectors: Floats, k: int, passing: Mask | None = None) -> tuple[Floats, Rows]:
    """Return scores and rows of the best `k` by comparison with every stored vector, as `Index.search` does
    for the flat kind.
    """
    index.require_whole()
    size = _BLOCK_ROWS if len(vectors) >= FEW else max(1, _BLOCK_BYTES // (4 * index.dimension))
    blocks = ((rows, index.vectors(rows)) for rows in blocks_of(index, passing, size))
    return nearest(index.prepared(vectors), blocks, k)


def is_quickest_exact(index: Index) -> bool:
    """Return whether a process that asks one query has its answer soonest by `exact_search`: it gives the
    same hits for a flat index, and does not import FAISS.
    """
    return index.kind == "flat" and 4 * index.dimension * index.stored_rows <= _SCANNED


def _distinct(
    index: Index, vectors: Floats | None, texts: Sequence[LexicalQuery], query: Query, place: int
) -> Ranking:
    """Return the best hits of the query at `place`, none of which is near a better one.

    The number of candidates doubles until `k` hits remain or there are no more rows.
    """
    assert query.dedupe is not None
    wanted = 2 * query.k
    while True:
        one = None if vectors is None else vectors[place : place + 1]
        (found,) = rankings(index, one, replace(query, k=wanted), texts[place : place + 1])
        kept = distinct(index.vectors(found.rows), query.dedupe)[: query.k]
        if len(kept) == query.k or len(found.rows) < wanted:
            return found.taken(kept)
        wanted *= 2


def distinct(vectors: Floats, cosine: float) -> Rows:
    """Return the places of `vectors`, `(found, dimension)`, best first, whose cosine to every one kept before
    is less than `cosine`.
    """
    unit = unit_length(vectors)
    kept: list[int] = []
    for place, vector in enumerate(unit):
        if not kept or float((unit[kept] @ vector).max()) < cosine:
            kept.append(place)
    return np.array(kept, dtype=np.int64)


def blocks_of(index: Index, passing: Mask | None = None, size: int = _BLOCK_ROWS) -> Iterator[Rows]:
    """Yield, in blocks of `size`, the numbers of rows that pass and are not deleted."""
    start = 0
    for segment in index.segments:
        allowed = segment.allowed(None if passing is None else passing[start : start + segment.rows])
        rows = np.arange(segment.rows) if allowed is None else np.flatnonzero(allowed)
        for first in range(0, len(rows), size):
            yield rows[first : first + size] + start
        start += segment.rows


def at_recall(index: Index, recall: float, k: int) -> Index:
    """Return the index with the fastest settings measured to reach `recall` of the nearest `k`; a flat index
    is returned unchanged.

    Raises UsageError naming the measured points if no point reaches it.
    """
    where, tuning = str(index.path), index.manifest.tuning
    if index.kind == "flat":
        return index
    if tuning is None:
        what = "its recall has not been measured"
        raise UsageError(what, where=where, hint=f"embedkit index tune {where}")
    if k > tuning.k:
        what = f"its recall was measured for {tuning.k:,} hits, {k:,} are asked for"
        raise UsageError(what, where=where, hint=f"embedkit index tune {where} -k {k}")
    point = tuning.cheapest(recall)
    if point is None:
        what = f"no point reaches recall {recall:g}; measured: {'; '.join(map(str, tuning.points))}"
        raise UsageError(what, where=where, hint="lower the `recall`, or search with `exact=True`")
    return index.tuned(**point.settings)
