"""Plan an index on this machine, and print the plan with its arithmetic."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from embedkit.cli.console import say
from embedkit.cli.index.wish_options import WishOptions
from embedkit.cli.options import Common
from embedkit.cli.printed_tables import print_table
from embedkit.cli.quantities import in_bytes, in_seconds
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.indexing.planning.costs import Term
    from embedkit.indexing.planning.plan import Candidate, Plan

_LOADED = 180_000_000  # bytes of libraries, their threads and buffers, measured while building a million rows


def planned_process_bytes() -> int:
    """Return the bytes that this process will use in addition to the plan's: its current memory, and the
    libraries that it will load.
    """
    return process_bytes() + _LOADED


def process_bytes() -> int:
    """Return the bytes that this process has in memory now."""
    import os
    from pathlib import Path

    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):  # other systems report the peak only
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_plan(plan: Plan) -> None:
    """Print all candidates, with the chosen one marked, then its costs, term by term."""
    heads = ["", "kind", "disk", "building", "searching", "build time", "per query", "recall", "misses"]
    rows = [_row(plan, each) for each in plan.candidates]
    print_table(heads, rows, texts=2)
    print()
    for line in arithmetic(plan):
        print(line)


def arithmetic(plan: Plan) -> Iterator[str]:
    """Yield the arithmetic of the chosen kind, one line per sum."""
    cost = plan.chosen.cost
    yield f"{plan.chosen.spec}: for {counted(plan.rows, 'row')} of {plan.dimension} dimensions"
    yield f"  on disk    {_sum((*cost.mapped, *cost.unmapped))}, without the documents"
    yield f"  building   {in_bytes(plan.process)} for the process + {_sum(cost.building)}"
    yield f"  searching  {in_bytes(plan.process)} for the process + {_sum(cost.mapped)}"
    if plan.chosen.fails:
        yield f"  misses: {', '.join(plan.chosen.fails)}; no kind meets all requirements"
    wishes = plan.wishes
    memory = "any memory" if math.isinf(wishes.max_memory) else f"{in_bytes(wishes.max_memory)} of memory"
    yield f"required: recall {wishes.recall:g}, {memory}, {in_seconds(wishes.latency)} per query"
    yield f"machine: {plan.machine}"
    yield "recall is estimated from sentences of Wikipedia by minilm; measure it with embedkit index tune"


def plan_facts(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON values: bytes, seconds, shares."""
    from dataclasses import asdict

    wishes = {name: None if value == math.inf else value for name, value in asdict(plan.wishes).items()}
    return {
        "rows": plan.rows,
        "dimension": plan.dimension,
        "wishes": wishes,
        "process_bytes": plan.process,
        "machine": asdict(plan.machine),
        "chosen": _facts(plan, plan.chosen),
        "candidates": [_facts(plan, each) for each in plan.candidates],
    }


def tell_plan(plan: Plan, *, quiet: bool) -> None:
    """Print the chosen kind and its costs in one line, unless `quiet`."""
    cost = plan.chosen.cost
    if not quiet:
        memory = in_bytes(plan.process + max(cost.build_memory, cost.search_memory))
        time = in_seconds(cost.build_seconds)
        say(f"plan: {plan.chosen.spec}, about {time}, {in_bytes(cost.disk)} on disk, {memory} of memory")


def _row(plan: Plan, each: Candidate) -> list[str]:
    cost = each.cost
    return [
        ">" if each is plan.chosen else "",
        each.spec,
        in_bytes(cost.disk),
        in_bytes(plan.process + cost.build_memory),
        in_bytes(plan.process + cost.search_memory),
        in_seconds(cost.build_seconds),
        in_seconds(cost.query_seconds),
        f"{cost.recall:.3f}",
        ", ".join(each.fails) or "-",
    ]


def _facts(plan: Plan, each: Candidate) -> dict[str, object]:
    cost = each.cost
    return {
        "kind": each.spec,
        "disk_bytes": round(cost.disk),
        "build_bytes": round(plan.process + cost.build_memory),
        "search_bytes": round(plan.process + cost.search_memory),
        "build_seconds": round(cost.build_seconds, 3),
        "query_seconds": round(cost.query_seconds, 7),
        "recall": round(cost.recall, 4),
        "leaves_open": list(each.fails),
    }


def _sum(terms: tuple[Term, ...]) -> str:
    """Return terms with their bytes: 1,000 rows x dimensions x 4 = 1,000 x 1,024 = 1.02 MB."""
    parts = [f"{term.what}: {term.number:,} x {term.each:,.10g} = {in_bytes(term.bytes)}" for term in terms]
    total = f" = {in_bytes(sum(term.bytes for term in terms))}" if len(terms) > 1 else ""
    return " + ".join(parts) + total


def planned(rows: int, dimension: int, wishing: WishOptions, kind: str | None) -> Plan:
    """Return the plan for rows `(rows, dimension)` on this machine, in addition to this process's memory."""
    from embedkit.indexing.planning.machine import this_machine
    from embedkit.indexing.planning.plan import plan_index

    wishes, machine = wishing.wishes(), this_machine()
    return plan_index(rows, dimension, wishes, machine, process=planned_process_bytes(), kind=kind)


def show_plan(chosen: Plan, common: Common) -> None:
    """Print a plan: a table and its arithmetic, or JSON."""
    if common.json:
        print(json.dumps(plan_facts(chosen)))
    else:
        print_plan(chosen)
