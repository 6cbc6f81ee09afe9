"""Plot vectors: the spectrum of their variances, and their two widest axes, coloured by a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float64
from embedkit.evaluation.geometry.spectrum import Spectrum
from embedkit.evaluation.geometry.survey import Survey
from embedkit.evaluation.plots.sts_plot import shortened
from embedkit.transforms.axes import principal_axes

TITLE = "The geometry of vectors"
POINTS = 5_000  # most points drawn per sample
_NAMED = 7  # values of a field with their own colour; the others share one
_OTHERS = "0.55"


class Drawn(NamedTuple):
    """One set of vectors to draw, with its name."""

    name: str
    found: Survey
    spectrum: Spectrum


def draw(sets: Sequence[Drawn], field: str | None) -> Any:
    """Return a matplotlib figure: a panel of spectra, then a scatter plot per set, coloured by a field."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(5.0 + 6.2 * len(sets), 4.8), layout="constrained")
    axes = figure.subplots(1, 1 + len(sets), width_ratios=[1, *[1.24] * len(sets)])
    _spectra(axes[0], sets)
    for panel, each in zip(axes[1:], sets, strict=True):
        _map(figure, panel, each, field)
        panel.set_title(shortened(each.name))
    return figure


def _spectra(axes: Any, sets: Sequence[Drawn]) -> None:
    for number, (name, _, spectrum) in enumerate(sets):
        variances, colour = spectrum.variances, f"C{number}"
        if not spectrum.rank:
            continue
        label = f"{spectrum.effective_rank:,.1f}"
        label = label if len(sets) == 1 else f"{label}  {shortened(name, 24)}"
        shares = 100 * variances / variances.sum()
        axes.plot(np.arange(1, len(shares) + 1), shares, "o-", ms=2.5, lw=1.2, color=colour, label=label)
        axes.axvline(spectrum.effective_rank, color=colour, lw=1, ls=":")
    axes.set(xscale="log", yscale="log", xlabel="axis", ylabel="share of the variance (%)")
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_formatter(lambda value, _: "")
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=min(low, high / 100))  # two decades or more: flat spectra look flat
    axes.set_title("Spectrum")
    axes.grid(alpha=0.5)
    if any(each.spectrum.rank for each in sets):
        axes.legend(title="effective rank (dotted)", edgecolor="none", fontsize=9, loc="best")


def _map(figure: Any, axes: Any, each: Drawn, field: str | None) -> None:
    places, shares = positions(each)
    for number, (side, share) in enumerate(zip((axes.set_xlabel, axes.set_ylabel), shares, strict=True), 1):
        side(f"axis {number} ({share:.1%} of the variance)")
    values = each.found.values
    axes.grid(alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_aspect("equal", adjustable="datalim")
    style = {"s": 9, "alpha": 0.65, "linewidths": 0, "rasterized": len(places) > 2000}
    if values is None or field is None:
        axes.scatter(*places.T, **style)
    elif (numbers := _numbers(values[: len(places)])) is not None:
        shown = axes.scatter(*places.T, c=numbers, cmap=_ramp(), **style)
        figure.colorbar(shown, ax=axes, label=shortened(field, 30)).solids.set_alpha(1)
    else:
        _by_value(axes, places, values[: len(places)], style, field)


def positions(each: Drawn) -> tuple[Float64, Float64]:
    """Return the coordinates of rows, relative to the mean, on the two axes with the largest variance of all
    rows, `(drawn, 2)`, and the share of the variance on each axis, `(2,)`; 0 for a missing axis.
    """
    moments, rows = each.found.moments, each.found.vectors[:POINTS].astype(np.float64)
    axes = principal_axes(moments)
    places, shares = np.zeros((len(rows), 2)), np.zeros(2)
    count = min(2, axes.rank)
    places[:, :count] = (rows - moments.mean) @ axes.directions[:count].T
    shares[:count] = axes.variances[:count] / max(axes.variances.sum(), np.finfo(np.float64).tiny)
    return places, shares


def _numbers(values: NDArray[np.generic]) -> Float64 | None:
    """Return the values as numbers if all are numbers and more than `_NAMED` are distinct; else None."""
    if not all(isinstance(value, int | float) for value in values):
        return None
    return values.astype(np.float64) if len(set(values)) > _NAMED else None


def _ramp() -> Any:
    """Return the part of viridis that contrasts with the background."""
    from matplotlib import colormaps, rcParams
    from matplotlib.colors import ListedColormap, to_rgb

    dark = sum(to_rgb(rcParams["axes.facecolor"])) < 1.5
    return ListedColormap(colormaps["viridis"](np.linspace(0.3 if dark else 0.0, 1.0 if dark else 0.9, 256)))


def _by_value(
    axes: Any, places: Float64, values: NDArray[np.generic], style: dict[str, Any], field: str
) -> None:
    """Draw the most frequent values in their own colours, in the order of the rows, and the other values
    below them in one shared colour.
    """
    words = [str(value) for value in values]
    counts = Counter(words)
    common = [name for name, _ in counts.most_common()]
    named = common if len(common) <= _NAMED + 1 else common[:_NAMED]
    colours = {name: f"C{number}" for number, name in enumerate(named)}
    order = sorted(range(len(words)), key=lambda row: words[row] in colours)
    axes.scatter(*places[order].T, c=[colours.get(words[row], _OTHERS) for row in order], **style)
    labels = {f"{shortened(name, 26)} ({counts[name]:,})": colour for name, colour in colours.items()}
    if rest := common[len(named) :]:
        labels[f"{len(rest):,} others ({sum(counts[name] for name in rest):,})"] = _OTHERS
    handles = [axes.scatter([], [], color=colour, label=label) for label, colour in labels.items()]
    side = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0}
    axes.legend(handles=handles, title=shortened(field, 24), frameon=False, fontsize=9, **side)
