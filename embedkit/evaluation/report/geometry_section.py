"""Convert the geometry of vectors to a section, with the spectra as a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from embedkit.evaluation.report.sections import (
    NAMES,
    Chart,
    Curve,
    Json,
    Row,
    Section,
    grouped,
    protocol_of,
)
from embedkit.evaluation.report.values import Value, number, read_value, text

FIGURES = (
    "mean_cosine", "uniformity", "alignment", "isoscore", "effective_rank", "participation_ratio",
    "mean norm", "skewness", "antihubs",
)  # fmt: skip


def geometry_section(facts: Json) -> Section:
    """Return the section for one or two sets of vectors, with the agreement of their neighbours."""
    rows = [
        (figure, Row((text(each["system"]),), value, None))
        for each in facts["results"]
        for figure, value in _geometric(each)
    ]
    shared = facts.get("agreement") or {}
    pair = " and ".join(text(each["system"]) for each in facts["results"])
    for name in ("overlap", "jaccard"):
        if name in shared:
            figure = f"{NAMES[name]}@{number(shared['k']):g}"
            rows.append((figure, Row((pair,), read_value(shared[name]), None)))
    sizes = (f"{text(each['system'])} {number(each['rows']):,.0f}" for each in facts["results"])
    said, charts = [f"Rows: {', '.join(sizes)}"], [_spectra(facts["results"])]
    return Section("", "", said, ("vectors",), grouped(rows, None), charts, protocol_of(facts))


def _geometric(result: Json) -> Iterator[tuple[str, Value]]:
    hubs = result["hubness"] or {}
    flat = {**result, "mean norm": result["norms"]["mean"]}
    flat |= {name: hubs[name] for name in ("skewness", "antihubs") if name in hubs}
    for name in FIGURES:
        if name in flat:
            yield name, read_value(flat[name])


def _spectra(results: Sequence[Json]) -> Chart:
    curves = []
    for each in results:
        variances = [number(value) for value in each["spectrum"]]
        total = sum(variances)
        shares = [(float(axis), 100 * value / (total or 1)) for axis, value in enumerate(variances, 1)]
        curves.append(Curve(text(each["system"]), [point for point in shares if point[1] > 0]))
    return Chart("Spectrum", "axis", "share of the variance (%)", curves, 10, 10)
