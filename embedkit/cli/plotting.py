"""The options of commands that draw what they measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from embedkit.cli.options import Common


@dataclass(frozen=True)
class PlotOptions:
    """Where a picture goes, and how it looks."""

    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw a plot: .png, .svg, .pdf or .html.", rich_help_panel="Picture"
        ),
    ] = None
    theme: Annotated[
        Literal["light", "dark"], typer.Option(help="Theme of the plot.", rich_help_panel="Picture")
    ] = "light"

    def require(self, common: Common) -> None:
        """Raise UsageError, ExistsError or MissingPackageError for a picture that could not be written."""
        if self.plot is not None:
            from embedkit.evaluation.plots.theme import require_picture

            require_picture(self.plot, force=common.force)

    def write(self, draw: Callable[[], Any], *, title: str) -> None:
        """Write what `draw` returns, a figure of matplotlib, where a picture was asked for."""
        if self.plot is not None:
            from embedkit.evaluation.plots.theme import write_picture

            write_picture(self.plot, draw, title=title, theme=self.theme)
