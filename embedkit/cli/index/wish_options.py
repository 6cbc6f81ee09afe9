"""Define the options that state the requirements of an index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.quantities import read_bytes, read_seconds
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.indexing.planning.plan import Wishes


@dataclass(frozen=True)
class WishOptions:
    """Options for the requirements of a plan."""

    panel: ClassVar = "Requirements"

    recall: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of the true nearest 10 to find, for example .95."),
    ] = None
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Memory limit of the whole process, building and searching, for example 2GB."
        ),
    ] = None
    latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time limit of a single query, for example 5ms.")
    ] = None

    @property
    def given(self) -> bool:
        """True if any requirement is given."""
        return (self.recall, self.max_memory, self.latency) != (None, None, None)

    def wishes(self) -> Wishes:
        """Return the requirements for the library; raise UsageError for an invalid recall, size or time."""
        from embedkit.indexing.planning.plan import LATENCY, RECALL, Wishes

        if self.recall is not None and not 0 < self.recall <= 1:
            raise UsageError(f"must be above 0 and at most 1, got {self.recall:g}", where="--recall")
        memory = math.inf if self.max_memory is None else read_bytes(self.max_memory, where="--max-memory")
        latency = LATENCY if self.latency is None else read_seconds(self.latency, where="--latency")
        return Wishes(RECALL if self.recall is None else self.recall, memory, latency)
