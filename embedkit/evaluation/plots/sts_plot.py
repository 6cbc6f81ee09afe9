"""Plot scored pairs: people's scores against cosines, one panel per system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedkit.data.text.display import printable
from embedkit.evaluation.sts import Result, Scored

TITLE = "Scores of pairs by people, and their cosines"
_COLUMNS = 3  # panels side by side
_LONG = 46  # characters of a title that fit over a panel


def draw(files: Sequence[Scored], results: Sequence[Result], systems: Sequence[str]) -> Any:
    """Return a matplotlib figure; several files differ in colour, and titles state the value of `all`."""
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(systems))
    rows = math.ceil(len(systems) / columns)
    figure: Any = Figure(figsize=(5.2 * columns + 0.4, 4.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    whole = files[0].name if len(files) == 1 else "all"
    spearman = {each.system: each.spearman for each in results if each.name == whole}
    for system, name in enumerate(systems):
        _panel(axes[system], files, system)
        figures = spearman[system]
        interval = f"{100 * figures.low:.1f} to {100 * figures.high:.1f}"
        axes[system].set_title(f"{shortened(name)}\nSpearman {100 * figures.value:.2f} ({interval})")
    for unused in axes[len(systems) :]:
        unused.remove()
    if len(files) > 1:
        handles, names = axes[0].get_legend_handles_labels()
        legend = figure.legend(
            handles, names, loc="outside lower center", ncols=4, frameon=False, markerscale=2
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1)
    return figure


def _panel(axes: Any, files: Sequence[Scored], system: int) -> None:
    pairs = sum(len(file.gold) for file in files)
    seen = max(0.08, min(0.7, 25 / math.sqrt(pairs)))  # opacity: fainter with more pairs
    for file in files:
        label = shortened(Path(file.name).name, 28)
        points = (file.predicted[system], file.gold)
        axes.scatter(*points, s=11, alpha=seen, linewidths=0, label=label, rasterized=pairs > 5000)
    axes.set_xlabel("cosine")
    if not system % _COLUMNS:
        axes.set_ylabel("score")
    axes.tick_params(labelbottom=True)  # the panel below may be missing
    axes.grid(alpha=0.5)
    axes.set_axisbelow(True)


def shortened(text: str, most: int = _LONG) -> str:
    """Return text for a plot: cut in the middle if it is too long, with dollar signs escaped for TeX."""
    half = (most - 3) // 2
    text = text if len(text) <= most else f"{text[:half]}...{text[-half:]}"
    return printable(text).replace("$", r"\$")
