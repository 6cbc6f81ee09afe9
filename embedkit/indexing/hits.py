"""Hits: rows with their scores, joined with their documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import repeat
from typing import Any, NamedTuple

from embedkit.data.free_names import free_names
from embedkit.indexing.kind import Floats
from embedkit.indexing.ranking import Ranking


class Hit(NamedTuple):
    """One hit: its rank (1 is best), its score (larger is better), and its document, which is a dict
    `{"id": ..., "text": ...}`. The score is the similarity, or for a search by words the BM25 score; a fused
    search also gives both.
    """

    rank: int
    score: float
    document: dict[str, Any]
    dense: float | None = None  # similarity, in a fused search
    lexical: float | None = None  # BM25 score, in a fused search
    terms: Mapping[str, float] | None = None  # the matched terms, with their parts of `lexical`, if explained


def hit_values(hit: Hit, taken: Set[str] = frozenset()) -> dict[str, object]:
    """Return a hit as values of JSON: rank, id, scores, and the fields of the document; a field whose name is
    that of another value, or in `taken`, gets `_` appended.
    """
    document = dict(hit.document)
    values = {"rank": hit.rank, "id": document.pop("id"), "score": _decimal(hit.score)}
    for name, value in (("dense", hit.dense), ("lexical", hit.lexical)):
        if value is not None:
            values[name] = _decimal(value)
    if hit.terms is not None:
        values["terms"] = {term: _decimal(score) for term, score in hit.terms.items()}
    return values | free_names(document, set(values) | taken)


def _decimal(score: float) -> float:
    """Return a float32 score as a decimal of 9 digits, which reads back to the same float32."""
    return float(f"{score:.9g}")


def ranked_hits(rankings: Sequence[Ranking], documents: Iterable[dict[str, object]]) -> list[list[Hit]]:
    """Return hits with ranks, one list per ranking; `documents` belong to the rows of all, in order."""
    left = iter(documents)
    found = []
    for each in rankings:
        parts = zip(each.scores.tolist(), _listed(each.dense), _listed(each.lexical), strict=False)
        found.append(
            [
                Hit(rank, score, next(left), dense, lexical)
                for rank, (score, dense, lexical) in enumerate(parts, 1)
            ]
        )
    return found


def _listed(values: Floats | None) -> Iterable[float | None]:
    return repeat(None) if values is None else values.tolist()
