"""Define the options of commands that plot their measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.options import Common


@dataclass(frozen=True)
class PlotOptions:
    """Options for the file and the theme of a plot."""

    panel: ClassVar = "Picture"

    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a plot: .png, .svg, .pdf or .html.")
    ] = None
    theme: Annotated[Literal["light", "dark"], typer.Option(help="Theme of the plot.")] = "light"

    def require(self, common: Common) -> None:
        """Raise UsageError, ExistsError or MissingPackageError if the plot cannot be written."""
        if self.plot is not None:
            from embedkit.evaluation.plots.theme import require_picture

            require_picture(self.plot, force=common.force)

    def write(self, draw: Callable[[], Any], *, title: str) -> None:
        """Write the matplotlib figure that `draw` returns, if a plot was requested."""
        if self.plot is not None:
            from embedkit.evaluation.plots.theme import write_picture

            write_picture(self.plot, draw, title=title, theme=self.theme)
