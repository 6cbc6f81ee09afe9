"""The measured curves as a picture: neighbours kept against bytes, and Spearman where there are pairs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from embedkit.data.atomic import refuse_existing, write_whole
from embedkit.errors import MissingPackageError, UsageError
from embedkit.evaluation.dimensions import Measured, Point

_FORMATS = (".png", ".svg", ".pdf", ".html")
_PAGE = (
    "<!doctype html><html><head><meta charset='utf-8'><title>{title}</title></head>"
    "<body>{body}</body></html>\n"
)
TITLE = "How many dimensions?"


def require_plot(path: Path, *, force: bool) -> None:
    """Raise UsageError, ExistsError or MissingPackageError for a picture that could not be written."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"is no {', '.join(_FORMATS)}", where=str(path), hint="name the picture by its kind")
    refuse_existing(path, force=force)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingPackageError("matplotlib", needed_for="--plot", extra="plot") from None


def plot(path: Path, measured: Measured, k: int) -> None:
    """Write the curves as a picture by the path's extension, whole or not at all; .html holds it as SVG."""
    from matplotlib import rc_context

    kind, content = path.suffix.lower()[1:], io.BytesIO()
    with rc_context({"svg.hashsalt": "embedkit"}):
        figure = draw(measured, k)
        figure.savefig(content, format="svg" if kind == "html" else kind, dpi=150, metadata=_undated(kind))
    body = content.getvalue()
    if kind == "html":
        picture = body.decode()
        body = _PAGE.format(title=TITLE, body=picture[picture.index("<svg") :]).encode()
    write_whole(path, body)


def draw(measured: Measured, k: int) -> Any:
    """Return a matplotlib figure: a panel a figure of merit, a line a method."""
    from matplotlib.figure import Figure

    panels = 1 if measured.full_spearman is None else 2
    figure = Figure(figsize=(6.4 * panels, 4.4), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _panel(axes[0], measured, lambda point: 100 * point.overlap, f"neighbours kept of {k} (%)", 100.0)
    if measured.full_spearman is not None:
        full = 100 * measured.full_spearman
        _panel(axes[1], measured, lambda point: 100 * (point.spearman or 0.0), "Spearman x 100", full)
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    choice = measured.choice
    circled = f" Circled: {choice.point.method} to {choice.point.dim}" if choice else ""
    figure.suptitle(f"{TITLE}{circled}")
    return figure


def _panel(axes: Any, measured: Measured, value: Any, name: str, full: float) -> None:
    curves: dict[str, list[Point]] = {}
    for point in measured.points:
        curves.setdefault(point.method, []).append(point)
    for method, points in curves.items():
        style = "-" if points[0].size == 4 * points[0].dim else "--"
        axes.plot([p.size for p in points], [value(p) for p in points], style, marker="o", ms=3, label=method)
    axes.axhline(full, color="0.6", lw=1)
    if (choice := measured.choice) is not None:
        axes.plot([choice.point.size], [value(choice.point)], "o", ms=11, mfc="none", mec="black")
    sizes = sorted(
        {point.size for point in measured.points if point.size == 1 << point.size.bit_length() - 1}
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set(xlabel="bytes a vector", ylabel=name)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _undated(kind: str) -> dict[str, None] | None:
    """Return the metadata that keep a picture's bytes the same every day."""
    return {"svg": {"Date": None}, "html": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
