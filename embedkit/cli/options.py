"""Define options that mean the same in every command, in groups; a command takes a group as one parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from embedkit.cli.completion import complete_indexes
from embedkit.errors import UsageError
from embedkit.version import __version__


def print_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        print(f"embedkit {__version__}")
        raise typer.Exit


def named(options: Mapping[str, object]) -> list[str]:
    """Return the names of the options that were given."""
    return [name for name, value in options.items() if value not in (None, False)]


@dataclass(frozen=True)
class Common:
    """Options of every command."""

    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print nothing but errors on standard error.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False
    seed: Annotated[int, typer.Option("--seed", help="Seed of all random choices.")] = 0
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit."),
    ] = False


@dataclass(frozen=True)
class ClusterOptions:
    """Options that select a cluster for the work."""

    panel: ClassVar = "Cluster"

    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Spread the work over this Ray cluster; with auto, over the running cluster or "
            "else this machine's processors. All machines must share the folder.",
        ),
    ] = None

    def refuse(self, *given: str, hint: str | None = None) -> None:
        """Raise UsageError for the first option in `given`, which cannot be used with a cluster."""
        if self.cluster is not None and given:
            raise UsageError("cannot be used with --cluster", where=given[0], hint=hint)


IndexPath = Annotated[
    Path, typer.Argument(metavar="INDEX", help="An index folder.", autocompletion=complete_indexes)
]
