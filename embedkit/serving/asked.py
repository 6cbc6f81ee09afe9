"""Queries that are ready to be searched: those that are searched alike are searched together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from embedkit.indexing.hits import Hit
from embedkit.indexing.kind import Floats, Mask
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import LexicalQuery, literal_query, parse_query
from embedkit.indexing.query import Query, hits
from embedkit.serving.question import AUTO, Search
from embedkit.serving.served_index import Generation


class Asked(NamedTuple):
    """A query that is ready to be searched."""

    generation: Generation
    search: Search
    passing: Mask | None
    text: str
    vector: Floats | None  # (dimension,); None in a search by words alone, or if the text is encoded here
    words: LexicalQuery | None  # None in a search by vectors alone


def read_words(generation: Generation, queries: Sequence[str], search: Search) -> list[LexicalQuery] | None:
    """Return the words of each query, or None in a search by vectors alone."""
    if not search.by_words:
        return None
    read = parse_query if search.operators else literal_query
    return [read(query, generation.index.lexical.settings) for query in queries]


def search_together(asked: Sequence[Asked]) -> list[list[Hit]]:
    """Return the hits of each query; queries that are searched alike are searched together."""
    alike: dict[Any, list[int]] = {}
    for place, each in enumerate(asked):
        key = id(each.generation), each.search, id(each.passing), each.vector is None
        alike.setdefault(key, []).append(place)
    found: list[list[Hit]] = [[]] * len(asked)
    for places in alike.values():
        together = [asked[place] for place in places]
        generation, search, passing = together[0][:3]
        vectors = None if search.lexical else _vectors(together)
        words = [each.words for each in together if each.words is not None]
        query = Query(
            search.k,
            passing,
            min_score=search.min_score,
            fusion=_fusion(generation, search),
            explain=search.explain,
        )
        for place, line in zip(places, hits(generation.index, vectors, query, None, words), strict=True):
            found[place] = line
    return found


def _vectors(asked: Sequence[Asked]) -> Floats:
    """Return the vectors of queries; texts without vectors are encoded together."""
    known = [each.vector for each in asked if each.vector is not None]
    if known:
        return np.stack(known)
    return asked[0].generation.encoding.encode_here([each.text for each in asked], "query")


def _fusion(generation: Generation, search: Search) -> Fusion | None:
    if search.hybrid is None:
        return None
    return Fusion(generation.index.weight if search.hybrid == AUTO else search.hybrid)
