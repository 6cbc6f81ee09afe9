"""Convert the measured settings of an index to a section, with charts of recall against speed and latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from embedkit.evaluation.report.sections import Chart, Curve, Json, Row, Section, grouped, protocol_of
from embedkit.evaluation.report.values import Value, number, read_value, text


def index_section(facts: Json) -> Section:
    """Return the section for the settings of an index; exact search comes last."""
    name, results = f"recall@{number(facts['k']):g}", facts["results"]
    rows = [
        (figure, Row((text(each["setting"]),), value, None))
        for each in results
        for figure, value in _figures(each, name)
    ]
    charts = [
        _chart(results, name, "queries_a_second", "queries per second, all in one batch"),
        _chart(results, name, "milliseconds", "milliseconds per single query"),
    ]
    said = [f"Index: {text(facts['index'])}"]
    return Section("", "", said, ("setting",), grouped(rows, None), charts, protocol_of(facts), folded=True)


def _figures(each: Json, name: str) -> Iterator[tuple[str, Value]]:
    for figure in ("recall@1", name):
        shares = read_value(each[figure])
        yield f"{figure} (%)", Value(*(100 * share for share in shares[:3] if share is not None))
    yield "queries per second", Value(number(each["queries_a_second"]))
    yield "milliseconds per single query", Value(number(each["milliseconds"]))


def _chart(results: Sequence[Json], name: str, cost: str, label: str) -> Chart:
    *points, exact = [(number(each[cost], above=0), 100 * number(each[name]["value"])) for each in results]
    curves = [Curve("this index", sorted(points)), Curve("exact search", [exact])]
    return Chart(f"Recall and {label.partition(',')[0]}", label, f"{name} (%)", curves, 10, None)
