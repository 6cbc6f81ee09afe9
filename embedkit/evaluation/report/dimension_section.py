"""Convert advice on dimensions to a section: what each reduction keeps, as charts and as values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from embedkit.evaluation.report.sections import Chart, Curve, Json, Row, Section, grouped
from embedkit.evaluation.report.values import Value, number, text


def advice_section(facts: Json) -> Section:
    """Return the section for the curves, the rules and the recommendation."""
    recommended = facts["recommended"]
    said = ["Recommended: the full vectors; no map to fewer dimensions keeps enough."]
    if recommended is not None:
        dims = f"{text(recommended['method'])} to {number(recommended['dim']):g} dimensions"
        said = [f"Recommended: {dims}, {text(recommended['reason'])}."]
    points = facts["curves"]
    charts = [_kept(points, "overlap", f"neighbours kept of {number(facts['protocol']['k']):g} (%)")]
    if facts["full"]["spearman"] is not None:
        charts.append(_kept(points, "spearman", "Spearman x 100"))
    rules = {f"rule: {name}": value for name, value in facts["rules"].items()}
    counts = {name: facts[name] for name in ("rows", "fitted", "measured", "queries")}
    told = [(text(name), text(value)) for name, value in {**counts, **facts["protocol"], **rules}.items()]
    groups = grouped(((figure, row) for each in points for figure, row in _point(each)), 100.0)
    return Section("", "", said, ("method", "dimensions"), groups, charts, told, folded=True)


def _point(each: Json) -> Iterator[tuple[str, Row]]:
    """Yield the values of one reduction at one dimension, times 100; the interval is two standard errors."""
    names = (text(each["method"]), f"{number(each['dim']):g}")
    kept, error = 100 * number(each["overlap"]), 200 * number(each["error"])
    interval = max(0.0, kept - error), min(100.0, kept + error)
    yield "neighbours kept (%)", Row(names, Value(kept, *interval), None)
    if each["spearman"] is not None:
        yield "Spearman x 100", Row(names, Value(100 * number(each["spearman"])), None)


def _kept(points: Sequence[Json], figure: str, name: str) -> Chart:
    curves: dict[str, list[tuple[float, float]]] = {}
    for each in points:
        where = (number(each["size"], above=0), 100 * number(each[figure]))
        curves.setdefault(text(each["method"]), []).append(where)
    title = name.partition(" (")[0].capitalize()
    return Chart(title, "bytes per vector", name, [Curve(*curve) for curve in curves.items()], 2, None)
