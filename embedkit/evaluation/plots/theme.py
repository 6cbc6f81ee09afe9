"""Write matplotlib figures in a light or a dark theme, atomically, in the format of the file's extension."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Literal

from embedkit.data.atomic import refuse_existing, write_whole
from embedkit.errors import MissingPackageError, UsageError

Theme = Literal["light", "dark"]

FORMATS = (".png", ".svg", ".pdf", ".html")
PAPER: dict[Theme, str] = {"light": "#ffffff", "dark": "#16181d"}
INK: dict[Theme, str] = {"light": "#22262e", "dark": "#e4e7ec"}
FAINT: dict[Theme, str] = {"light": "#c9ced6", "dark": "#3c424d"}  # grids and frames
COLOURS: dict[Theme, tuple[str, ...]] = {  # distinct for most colour-blind readers, on each background
    "light": ("#1f6fb4", "#d9730d", "#2b8a57", "#c2334d", "#7a56b3", "#8a6a35", "#cf5fa0", "#5a6f80"),
    "dark": ("#6cb0f5", "#ffb25e", "#66d19a", "#ff8093", "#bfa2fb", "#d9ba85", "#ff9ccf", "#a5bccb"),
}
_LETTERS = (  # fonts for Chinese, Japanese and Korean: the first installed one follows matplotlib's font
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "SimHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ margin: 0; background: {paper} }} svg {{ display: block; margin: auto; max-width: 100%;
height: auto }}</style></head><body>{body}</body></html>
"""


def require_picture(path: Path, *, force: bool) -> None:
    """Raise UsageError, ExistsError or MissingPackageError if the picture cannot be written."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}", where=str(path))
    refuse_existing(path, force=force)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingPackageError("matplotlib", needed_for="`plot`", extra="plot") from None


def write_picture(path: Path, draw: Callable[[], Any], *, title: str, theme: Theme = "light") -> None:
    """Write the figure that `draw` returns, in a theme, atomically; an .html file contains it as SVG.

    The same figure always gives the same bytes, independent of the date.
    """
    from matplotlib import rc_context

    kind, content = path.suffix.lower()[1:], io.BytesIO()
    drawn = "svg" if kind == "html" else kind
    with rc_context(_settings(theme)), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        draw().savefig(content, format=drawn, dpi=150, metadata=_undated(drawn))
    if drawn != "svg" and any("missing from font" in str(warning.message) for warning in said):
        what = "%s: no installed font has some letters, which are drawn as boxes; write .svg or .html instead"
        logging.getLogger("embedkit").warning(what, path)
    body = content.getvalue()
    if kind == "html":
        svg = body.decode()
        svg = svg[svg.index("<svg") :]
        body = _PAGE.format(title=escape(title), paper=PAPER[theme], body=svg).encode()
    write_whole(path, body)


def _settings(theme: Theme) -> dict[str, object]:
    """Return matplotlib's settings for a theme."""
    from cycler import cycler

    paper, ink, faint = PAPER[theme], INK[theme], FAINT[theme]
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor")
    papered = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    fainted = ("axes.edgecolor", "xtick.color", "ytick.color", "grid.color", "legend.edgecolor")
    return {
        **dict.fromkeys(inked, ink),
        **dict.fromkeys(papered, paper),
        **dict.fromkeys(fainted, faint),
        "axes.prop_cycle": cycler(color=COLOURS[theme]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "font.family": _fonts(),
        "svg.fonttype": "none",  # text stays text, in the reader's fonts
        "svg.hashsalt": "embedkit",
    }


def _fonts() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    letters = [name for name in _LETTERS if name in installed]
    return ["DejaVu Sans", *letters[:1], "sans-serif"]


def _undated(kind: str) -> dict[str, None] | None:
    """Return the metadata that make a picture's bytes independent of the date."""
    return {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
