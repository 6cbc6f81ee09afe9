"""Convert the JSON of any evaluation to a section."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from embedkit.errors import DataError
from embedkit.evaluation.report.dimension_section import advice_section
from embedkit.evaluation.report.geometry_section import geometry_section
from embedkit.evaluation.report.index_section import index_section
from embedkit.evaluation.report.results_section import results_section
from embedkit.evaluation.report.sections import Json, Section
from embedkit.evaluation.report.values import text

_HINT = (
    "write one with --json of embedkit eval sts, labels, retrieval, geometry or index, or of embedkit advise"
)


class ResultKind(NamedTuple):
    """One kind of evaluation: its title, the keys of its JSON or of all its results, and its reader."""

    title: str
    marks: frozenset[str]
    read: Callable[[Json], Section]


KINDS = (
    ResultKind(
        "Semantic textual similarity", frozenset({"spearman", "pearson", "protocol"}), results_section
    ),
    ResultKind("Retrieval by label", frozenset({"top1", "map", "protocol"}), results_section),
    ResultKind("Retrieval", frozenset({"queries", "missing", "unjudged", "protocol"}), results_section),
    ResultKind("Geometry", frozenset({"mean_cosine", "spectrum", "protocol"}), geometry_section),
    ResultKind(
        "Index", frozenset({"setting", "queries_a_second", "milliseconds", "protocol"}), index_section
    ),
    ResultKind("Dimensions", frozenset({"rules", "curves", "recommended", "protocol"}), advice_section),
)


def read_section(source: str, content: bytes) -> Section:
    """Return the section for JSON that an evaluation wrote; raise DataError for other input."""
    try:
        facts = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error}", where=source, hint=_HINT) from None
    kind = next((kind for kind in KINDS if kind.marks <= _keys(facts)), None)
    if kind is None:
        raise DataError("is not the JSON of an evaluation", where=source, hint=_HINT)
    try:
        return kind.read(facts)._replace(title=kind.title, source=text(source))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"is damaged: {error!r}", where=source, hint=_HINT) from None


def _keys(facts: object) -> frozenset[str]:
    """Return the keys of an object, and the keys that all of its results have."""
    if not isinstance(facts, dict):
        return frozenset()
    results = facts.get("results")
    if not (isinstance(results, list) and results and all(isinstance(each, dict) for each in results)):
        return frozenset(facts)
    return frozenset(facts) | frozenset.intersection(*(frozenset(each) for each in results))
