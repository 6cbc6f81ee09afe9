"""Plot the settings of an index: recall against queries per second and against latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.evaluation.index.recall import MeasuredPoint
from embedkit.evaluation.plots.sts_plot import shortened

TITLE = "Recall of an index, and its speed"


def draw(points: Sequence[MeasuredPoint], exact: MeasuredPoint, k: int, name: str) -> Any:
    """Return a matplotlib figure of two panels: queries per second, all at once, and milliseconds per single
    query; a dashed line marks exact search.
    """
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(10.4, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rates, times = [each.queries_a_second for each in points], [each.milliseconds for each in points]
    _panel(left, points, rates, exact.queries_a_second, "queries per second, all in one batch", above=True)
    _panel(right, points, times, exact.milliseconds, "milliseconds per single query", above=False)
    left.set_ylabel(f"recall@{k}")
    numbers = f"; numbers: {', '.join(points[0].settings)}" if points[0].settings else ""
    figure.suptitle(f"{shortened(name, 80)}{numbers}", fontsize=11)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(
    axes: Any,
    points: Sequence[MeasuredPoint],
    costs: Sequence[float],
    exact: float,
    label: str,
    *,
    above: bool,
) -> None:
    """Draw recall over a cost on a logarithmic axis, with intervals and labels for a few settings; the labels
    are `above` the points, where the curve falls to the right, or below them.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    recalls = [each.recall.value for each in points]
    below = [value - each.recall.low for value, each in zip(recalls, points, strict=True)]
    over = [each.recall.high - value for value, each in zip(recalls, points, strict=True)]
    marks = {"marker": "o", "markersize": 4, "linewidth": 1.4, "elinewidth": 1}
    axes.errorbar(costs, recalls, yerr=[below, over], label="this index, 95 % intervals", **marks)
    axes.axvline(exact, linestyle="--", linewidth=1.4, color="C1", label="exact search")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    axes.set_xlabel(label)
    for place in _named(recalls):
        text = ", ".join(str(value) for value in points[place].settings.values())
        named = axes.annotate(
            text,
            (costs[place], recalls[place]),
            (5, 3 if above else -3),
            textcoords="offset points",
            verticalalignment="bottom" if above else "top",
            fontsize=9,
        )
        named.set_path_effects([withStroke(linewidth=3, foreground=axes.get_facecolor())])
    axes.grid(alpha=0.5)
    axes.set_axisbelow(True)


def _named(recalls: Sequence[float]) -> list[int]:
    """Return the positions of points that are far enough apart to be labelled."""
    kept: list[int] = []
    span = (max(recalls) - min(recalls)) or 1.0
    for place, value in enumerate(recalls):
        if not kept or value - recalls[kept[-1]] > span / 8:
            kept.append(place)
    return kept
