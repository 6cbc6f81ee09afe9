"""Hits as values of JSON, with snippets of their texts and the places of the words of the query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.indexing.hits import Hit, hit_values
from embedkit.indexing.lexical.analysis import Analysis
from embedkit.indexing.lexical.operators import LexicalQuery
from embedkit.indexing.store import Index
from embedkit.serving.highlights import places_of, snippet_of
from embedkit.serving.question import Search
from embedkit.serving.served_index import has_words

_WITHOUT = Analysis("none")  # no stems, where an index has no lexical part


def highlighted(
    index: Index,
    search: Search,
    queries: Sequence[str],
    words: Sequence[LexicalQuery] | None,
    found: Sequence[Sequence[Hit]],
) -> list[list[dict[str, Any]]]:
    """Return the hits of each query as values of JSON, as the search asks for them."""
    analysis: Analysis = index.manifest.lexical or _WITHOUT
    answers = []
    for place, (query, line) in enumerate(zip(queries, found, strict=True)):
        terms = analysis.query_terms(query) if words is None else words[place].terms
        marked = index.lexical.telling(terms) if has_words(index) else frozenset(terms)
        answers.append([_with_highlights(hit, marked, analysis, search) for hit in line])
    return answers


def _with_highlights(
    hit: Hit, terms: frozenset[str], analysis: Analysis, search: Search
) -> dict[str, object]:
    text = hit.document.get("text")
    if not isinstance(text, str):
        return hit_values(hit)
    places = places_of(text, terms, analysis)
    own: dict[str, object] = {}
    if search.snippet is not None:
        part = snippet_of(text, places, search.snippet)
        own = {"text_start": part.start, "text_length": len(text)}
        hit, places = hit._replace(document={**hit.document, "text": part.text}), part.places
    if search.highlight:
        own["matches"] = places
    return hit_values(hit, own.keys()) | own
