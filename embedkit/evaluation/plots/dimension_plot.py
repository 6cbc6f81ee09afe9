"""Plot the measured curves: neighbours kept against bytes, and Spearman if pairs were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from embedkit.evaluation.dimensions.curves import MeasuredCurves, Point

TITLE = "How many dimensions?"


def draw(measured: MeasuredCurves, k: int) -> Any:
    """Return a matplotlib figure with a panel per measure and a line per method."""
    from matplotlib.figure import Figure

    panels = 1 if measured.full_spearman is None else 2
    figure = Figure(figsize=(6.0 * panels + 1.2, 4.4), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _panel(axes[0], measured, lambda point: 100 * point.overlap, f"neighbours kept of {k} (%)", 100.0)
    if measured.full_spearman is not None:
        full = 100 * measured.full_spearman
        _panel(axes[1], measured, lambda point: 100 * (point.spearman or 0.0), "Spearman x 100", full)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", frameon=False)
    choice = measured.choice
    circled = f" Circled: {choice.point.method} to {choice.point.dim}" if choice else ""
    figure.suptitle(f"{TITLE}{circled}")
    return figure


def _panel(
    axes: Any, measured: MeasuredCurves, value: Callable[[Point], float], name: str, full: float
) -> None:
    from matplotlib import rcParams

    curves: dict[str, list[Point]] = {}
    for point in measured.points:
        curves.setdefault(point.method, []).append(point)
    for method, points in curves.items():
        style = "-" if points[0].size == 4 * points[0].dim else "--"
        axes.plot([p.size for p in points], [value(p) for p in points], style, marker="o", ms=3, label=method)
    axes.axhline(full, color="0.6", lw=1)
    if (choice := measured.choice) is not None:
        ink = rcParams["text.color"]
        axes.plot([choice.point.size], [value(choice.point)], "o", ms=11, mfc="none", mec=ink)
    sizes = sorted(
        {point.size for point in measured.points if point.size == 1 << point.size.bit_length() - 1}
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set(xlabel="bytes per vector", ylabel=name)
    axes.grid(alpha=0.5)
