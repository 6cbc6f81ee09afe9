"""Convert results with intervals to a section: scored pairs, retrieval by label, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from embedkit.evaluation.report.sections import Json, Row, Section, grouped, protocol_of
from embedkit.evaluation.report.values import Value, number, read_difference, read_value, text


def results_section(facts: Json) -> Section:
    """Return the section for results that contain values with intervals: pairs, labels, retrieval."""
    results = facts["results"]
    heads = tuple(head for head in ("file", "system") if all(head in each for each in results))
    short = _short([str(each["file"]) for each in results if "file" in each])
    rows = []
    for each in results:
        names = tuple(text(short.get(each[head], each[head])) for head in heads)
        rows += [(figure, Row(names, value, _gain(each, figure))) for figure, value in _figures(each)]
    counts = [name for name in ("pairs", "queries") if name in results[0]]
    said = [f"{number(results[0][name]):,.0f} {name}" for name in counts if len(heads) == 1]
    return Section("", "", said, heads, grouped(rows, 100.0), [], protocol_of(facts))


def _short(paths: Sequence[str]) -> dict[str, str]:
    """Return the last part of each path if these parts are distinct, else the full paths."""
    last = {path: PurePath(path).name for path in paths}
    return last if len(set(last.values())) == len(last) else {path: path for path in paths}


def _figures(result: Json) -> Iterator[tuple[str, Value]]:
    for name, value in result.items():
        if isinstance(value, dict) and name != "difference":
            yield name, read_value(value)


def _gain(result: Json, figure: str) -> Value | None:
    """Return the difference in one measure; a single difference belongs to the first measure."""
    found = result.get("difference")
    if found is None:
        return None
    if "value" in found:
        return read_difference(found) if figure == next(_figures(result))[0] else None
    return read_difference(found[figure]) if figure in found else None
