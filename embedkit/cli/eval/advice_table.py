"""Format the output of `embedkit advise`: the rules of thumb, the measured curves, and the recommendation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.evaluation.dimensions.curves import Choice, CurveProtocol, MeasuredCurves, Point
    from embedkit.evaluation.dimensions.rules import Rules


def advice_facts(
    rules: Rules, measured: MeasuredCurves, protocol: CurveProtocol, rows: int, following: str | None
) -> dict[str, object]:
    """Return the advice as JSON values: shares of 1, dimensions, rows."""
    choice = measured.choice
    said = {**choice.point._asdict(), "spec": choice.spec, "reason": choice.reason} if choice else None
    return {
        "rules": asdict(rules),
        "rows": rows,
        "protocol": asdict(protocol),
        "fitted": measured.fitted,
        "measured": measured.measured,
        "queries": measured.queries,
        "full": {"overlap": 1.0, "spearman": measured.full_spearman},
        "curves": [point._asdict() for point in measured.points],
        "recommended": said,
        "next": following,
    }


def advice_lines(
    rules: Rules, measured: MeasuredCurves, protocol: CurveProtocol, following: str | None
) -> Iterator[str]:
    """Yield the page that people read, no line longer than 100 columns."""
    widest = max(point.dim for point in measured.points)
    near = f"{rules.distortion:.0%}"
    yield f"Rules of thumb for {rules.rows:,} vectors"
    yield f"  {rules.lemma:>7,}  Johnson-Lindenstrauss, 24 ln N / eps^2: every squared distance within {near}"
    yield f"  {rules.lemma_sharper:>7,}  the same, by the sharper bound of scikit-learn"
    yield f"  {rules.entropy:>7,}  entropy, 8.31 ln N: an order of magnitude, not a distance guarantee"
    if rules.lemma_sharper > widest:
        yield f"The lemma requires more than the {widest} dimensions of these vectors, so it gives no help."
    yield ""
    yield f"Measured: % of the {protocol.k} nearest neighbours by the full vectors that are kept"
    held_out = f"{counted(measured.queries, 'held-out row')} among {measured.measured:,}"
    yield f"({held_out}; fitted on {measured.fitted:,} others)"
    yield from _table(measured.points, "overlap")
    if measured.full_spearman is not None:
        yield ""
        yield f"Spearman x 100 on the pairs; full vectors: {100 * measured.full_spearman:.2f}"
        yield from _table(measured.points, "spearman")
    yield ""
    yield "svd: principal axes about the origin, pca: about the mean. Whitening moves neighbours on purpose:"
    yield "judge it with --pairs. int8 (of svd) and sign are codes of 1/4 and 1/32 of the bytes, searched"
    yield "without rescoring by full vectors."
    yield ""
    yield from _recommendation(measured.choice, following)


def _table(points: list[Point], name: str) -> Iterator[str]:
    """Yield a row a number of dimensions and a column a method; codes come with bytes of their own."""
    methods = list(dict.fromkeys(point.method for point in points))
    values = {(point.method, point.dim): point for point in points}
    yield f"{'dims':>5} {'bytes':>6}  " + " ".join(f"{method:>9}" for method in methods)
    for dim in sorted({point.dim for point in points}):
        cells = [values.get((method, dim)) for method in methods]
        shown = [f"{100 * getattr(cell, name):9.1f}" if cell else f"{'':>9}" for cell in cells]
        yield f"{dim:>5} {4 * dim:>6,}  {' '.join(shown)}".rstrip()


def _recommendation(choice: Choice | None, following: str | None) -> Iterator[str]:
    if choice is None:
        yield "Recommended: the full vectors; no map to fewer dimensions keeps enough (lower --keep)."
        return
    point = choice.point
    yield f"Recommended: {point.method} to {point.dim} dimensions,"
    yield f"  {choice.reason}."
    yield f"Next: {following}"
