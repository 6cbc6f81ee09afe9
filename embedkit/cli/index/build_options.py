"""Define the options of `embedkit index build`: the new index, and the plan by which it is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from embedkit.cli.completion import complete_kinds
from embedkit.cli.index.wish_options import WishOptions
from embedkit.errors import UsageError
from embedkit.spec import kinds


@dataclass(frozen=True)
class NewIndex:
    """Options that name a new index, and how it keeps and compares vectors."""

    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the new index.")]
    kind: Annotated[
        str | None,
        typer.Option(
            help=f"How vectors are kept and searched: {', '.join(kinds('index'))}, and settings such as "
            "binary:oversample=8,rescore=float16. [default: flat; for a set of codes, their own]",
            show_default=False,
            autocompletion=complete_kinds("index"),
        ),
    ] = None
    metric: Annotated[Literal["cosine", "dot"], typer.Option(help="Similarity measure.")] = "cosine"


@dataclass(frozen=True, kw_only=True)
class PlanningOptions:
    """Options that choose the kind of an index by a plan."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan for these inputs and write nothing.")
    ] = False
    queries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Typical queries on which --recall is measured. [drawn from the documents]",
        ),
    ] = None
    wishing: WishOptions

    def require_queries(self) -> None:
        """Raise UsageError for a file of queries that is given without a recall, or does not exist."""
        if self.queries is not None and self.wishing.recall is None:
            raise UsageError("applies only with --recall", where="--queries")
        if self.queries is not None and not self.queries.exists():
            raise UsageError("no such file", where=str(self.queries))
