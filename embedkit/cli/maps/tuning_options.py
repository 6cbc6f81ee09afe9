"""Define the options of `embedkit whiten --tune`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from embedkit.cli.eval.systems import NoCache
from embedkit.cli.pair_options import PairColumns
from embedkit.errors import UsageError


@dataclass(frozen=True)
class TuningOptions:
    """Options that choose the settings of a whitening map on scored pairs."""

    pairs: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="PAIRS",
            help="Choose the settings that are not given, or no map at all, on these scored pairs of texts.",
        ),
    ] = None
    columns: PairColumns = None
    no_cache: NoCache = False

    def check(self) -> None:
        """Raise UsageError for an option that is given without scored pairs."""
        for name, given in (("--columns", self.columns is not None), ("--no-cache", self.no_cache)):
            if self.pairs is None and given:
                raise UsageError("applies only with --tune", where=name)
