"""`embedkit index plan`: which index to build, on paper."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from embedkit.cli.completion import complete_kinds
from embedkit.cli.console import relay_warnings
from embedkit.cli.index.fleet_table import FleetOptions, fleet_facts, print_fleet
from embedkit.cli.index.plan_table import planned, planned_process_bytes, show_plan
from embedkit.cli.index.wish_options import WishOptions
from embedkit.cli.options import Common
from embedkit.cli.quantities import read_count

PLAN_EPILOG = "Example: embedkit index plan --rows 1e6 --dim 384 --max-memory 2GB --recall .95"


def plan(
    rows: Annotated[
        str, typer.Option(metavar="N", help="Number of documents: 1000000, 1_000_000, 1e6 or 1M.")
    ],
    dim: Annotated[int, typer.Option(help="Dimension of their vectors.", min=1)],
    kind: Annotated[
        str | None,
        typer.Option(
            help="Plan with this kind only; its open settings are still chosen.",
            autocompletion=complete_kinds("index"),
        ),
    ] = None,
    *,
    wishing: WishOptions,
    several: FleetOptions,
    common: Common,
) -> None:
    """Choose an index kind and its settings by their costs, which are shown; nothing is built.

    With --machines, also the hours, memory and storage that encoding, building and searching take.
    """
    relay_warnings(common.quiet)
    several.check()
    count = read_count(rows, where="--rows")
    if several.machines is None:
        show_plan(planned(count, dim, wishing, kind), common)
    else:
        show_fleet(count, dim, wishing, several, kind, common)


def show_fleet(
    rows: int, dimension: int, wishing: WishOptions, several: FleetOptions, kind: str | None, common: Common
) -> None:
    """Print what several machines take: a table and its arithmetic, or JSON."""
    from embedkit.indexing.planning.fleet import cost_shape, plan_fleet
    from embedkit.indexing.planning.machine import this_machine

    wishes, machine, process = wishing.wishes(), this_machine(), planned_process_bytes()
    count = several.machines or 1
    plan_fleet(rows, dimension, wishes, machine, machines=count, rate=1.0, process=process, kind=kind)
    rate, rate_from = several.measured()  # after what cannot be is refused: it takes seconds
    fleet = plan_fleet(
        rows, dimension, wishes, machine, machines=count, rate=rate, process=process, kind=kind
    )
    shape = cost_shape(fleet, kind)
    if common.json:
        print(json.dumps(fleet_facts(fleet, shape, rate_from)))
    else:
        print_fleet(fleet, shape, rate_from)
