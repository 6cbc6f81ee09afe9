"""Parse the names of retrieval measures, and compute them with ir_measures (MacAvaney et al. 2022, ECIR)."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.errors import UnknownNameError, UsageError

DEFAULTS = ("nDCG@10", "R@100", "RR@10", "AP")
_LARGEST = 1_000_000  # largest cutoff or grade; trec_eval counts up to it
_SWITCHES = ("judged_only", "normalize", "relative")
_WHERE = "`measure`"


class Measure(NamedTuple):
    """A measure with the name that the user typed, such as nDCG@10 or P(rel=2)@5."""

    name: str
    computed: Any  # the measure of ir_measures

    @property
    def cutoff(self) -> int:
        """The number of hits that the measure considers; 0 means all."""
        return int(self.computed.params.get("cutoff") or 0)


def parse_measures(names: Sequence[str]) -> list[Measure]:
    """Return the measures with the given names; a repeated name counts once.

    Raises UnknownNameError, with the nearest known name, for an unknown measure, and UsageError for a measure
    that ir_measures cannot compute here or does not average over queries.
    """
    return [Measure(name, _parse(name)) for name in dict.fromkeys(name.strip() for name in names)]


def values_of(
    measures: Sequence[Measure], judged: Sequence[Mapping[str, int]], rankings: Sequence[Sequence[str]]
) -> Float64:
    """Return the value of each measure per query, `(measures, queries)`, from the query's grades by document
    and its documents, best first.

    Documents without a grade are not relevant. The measure defines the value of a query without documents:
    0 for all common measures. Raises UsageError for a measure that has no value for some query.
    """
    import ir_measures

    qrels, run = _numbered(judged, rankings)
    computed = list(dict.fromkeys(measure.computed for measure in measures))
    values = np.full((len(computed), len(judged)), np.nan)
    with suppress(ZeroDivisionError):  # Accuracy raises it where it has no value
        for metric in ir_measures.iter_calc(computed, qrels, run):
            values[computed.index(metric.measure), int(metric.query_id)] = metric.value
    values = values[[computed.index(measure.computed) for measure in measures]]
    if np.isnan(values).any():
        name = measures[int(np.isnan(values).any(axis=1).argmax())].name
        raise UsageError(f"{name} has no value for some query, so there is no mean over them", where=_WHERE)
    return values


def _numbered(
    judged: Sequence[Mapping[str, int]], rankings: Sequence[Sequence[str]]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Return qrels and a run in which numbers replace ids and no scores tie.

    The programs behind ir_measures order ties in different ways, and some require ids without spaces.
    """
    qrels, run = {}, {}
    for query, (grades, documents) in enumerate(zip(judged, rankings, strict=True)):
        numbers = {document: str(rank) for rank, document in enumerate(documents)}
        for document in grades:
            numbers.setdefault(document, str(len(numbers)))
        qrels[str(query)] = {numbers[document]: grade for document, grade in grades.items()}
        if documents:
            run[str(query)] = {str(rank): float(len(documents) - rank) for rank in range(len(documents))}
    return qrels, run


def _parse(name: str) -> Any:
    """Return the measure of a name like `NAME(key=value)@cutoff`."""
    from ir_measures import DefaultPipeline
    from ir_measures.measures import MeanAgg, registry

    family, settings, at = _parts(name)
    if family not in registry:
        alike = [known for known in registry if known.lower() == family.lower()]
        raise UnknownNameError(family, alike or registry, what="measure", where=_WHERE)
    kind = registry[family]
    measure = kind(**settings, **({} if at is None else {kind.AT_PARAM: at}))
    _require_settings(name, measure)
    if not DefaultPipeline.supports(measure):
        raise UsageError(f"{name} needs a program that ir_measures does not find here", where=_WHERE)
    if not isinstance(measure.aggregator(), MeanAgg):
        raise UsageError(f"{name} is a count over all queries, not a mean over them", where=_WHERE)
    return measure


def _parts(name: str) -> tuple[str, dict[str, Any], Any]:
    """Split `NAME(key=value)@at` into name, settings and cutoff; raise UsageError for any other form."""
    try:
        node: Any = ast.parse(name, mode="eval").body
        at, settings = None, {}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            node, at = node.left, ast.literal_eval(node.right)
        if isinstance(node, ast.Call) and not node.args:
            settings = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            node = node.func
        return str(node.id), settings, at
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError):
        hint = "write one like nDCG@10, AP or P(rel=2)@5"
        raise UsageError(f"{name!r} is not a measure", where=_WHERE, hint=hint) from None


def _require_settings(name: str, measure: Any) -> None:
    """Raise UsageError for a setting that is unknown to the measure, missing, or has an invalid value."""
    known = measure.SUPPORTED_PARAMS
    if unknown := measure.params.keys() - known.keys():
        hint = f"it has {', '.join(known) or 'none'}"
        raise UsageError(f"{name} has no setting {min(unknown)}", where=_WHERE, hint=hint)
    for setting, info in known.items():
        given = measure.params.get(setting)
        if given is None and info.required:
            example = (
                f"{measure.NAME}@10" if setting == measure.AT_PARAM else f"{measure.NAME}({setting}=...)"
            )
            raise UsageError(f"{name} needs a {setting}", where=_WHERE, hint=f"write it like {example}")
        if given is not None and not (info.validate(given) and _is_safe(setting, given)):
            raise UsageError(f"{name} has no {setting} {given!r}", where=_WHERE, hint=info.desc)


def _is_safe(setting: str, value: Any) -> bool:
    """Return True if the programs behind ir_measures accept a value; some end the process on others."""
    if isinstance(value, dict):
        return all(type(part) is int and 0 <= part <= _LARGEST for part in [*value, *value.values()])
    if isinstance(value, bool):
        return setting in _SWITCHES  # other settings would treat it as 1 or 0
    if setting == "recall":
        return bool(value <= 1)
    return not isinstance(value, int) or 1 <= value <= _LARGEST
