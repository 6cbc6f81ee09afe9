"""Print the plan of `embedkit index plan --machines`: a table for several machines, with its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.completion import complete_models
from embedkit.cli.encoder_options import DEFAULT_MODEL
from embedkit.cli.index.plan_table import arithmetic, plan_facts
from embedkit.cli.printed_tables import print_table
from embedkit.cli.quantities import in_bytes, in_seconds
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.indexing.planning.fleet import Fleet

_TEXTS = 20_000  # most texts to measure with; the standard library's documentation has fewer


@dataclass(frozen=True)
class FleetOptions:
    """Options for the number of machines, and the encoding rate of each."""

    panel: ClassVar = "Several machines"

    machines: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Plan encoding, building and searching on this many machines like this one, with "
            "hours and cost.",
        ),
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Texts per second that one machine encodes [measured here, with the model]."
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "-m", "--model",
            help="Model that encodes [EMBEDKIT_MODEL, minilm].",
            autocompletion=complete_models,
        ),
    ] = None  # fmt: skip

    def check(self) -> None:
        """Raise UsageError for options that cannot be combined, and for an invalid rate."""
        if self.machines is None and (self.rate is not None or self.model is not None):
            where = "--rate" if self.rate is not None else "--model"
            raise UsageError("applies only with --machines", where=where)
        if self.rate is not None and self.model is not None:
            raise UsageError(
                "replaces the measurement that --model sets", where="--rate", hint="omit one of them"
            )
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise UsageError(f"must be above 0 texts per second, got {self.rate:g}", where="--rate")

    def measured(self) -> tuple[float, str]:
        """Return the texts per second that a machine encodes, and the source of this rate."""
        if self.rate is not None:
            return self.rate, "set by --rate"
        import os
        from itertools import islice

        from embedkit.data.text.docstrings import standard_library
        from embedkit.embedding.loading import load
        from embedkit.indexing.planning.fleet import encoding_rate

        model = self.model or os.environ.get("EMBEDKIT_MODEL") or DEFAULT_MODEL
        texts = [record.text for record in islice(standard_library(), _TEXTS)]
        rate = encoding_rate(load(model).encode, texts)
        return rate, f"{model} here, measured on Python's documentation"


def print_fleet(fleet: Fleet, shape: list[Fleet], rate_from: str) -> None:
    """Print the cost by number of machines, then the cost of the requested number, term by term."""
    heads = [
        "", "index per machine", "machines", "encoding", "building", "machine-hours", "memory per machine",
        "index in all", "per query", "recall", "machine-hours per million queries",
    ]  # fmt: skip
    print_table(heads, [_row(fleet, each) for each in shape], texts=2)
    print()
    for line in _lines(fleet, rate_from):
        print(line)


def _row(asked: Fleet, each: Fleet) -> list[str]:
    return [
        ">" if each.machines == asked.machines else "",
        each.segment.chosen.spec,
        f"{each.machines:,}",
        in_seconds(3600 * each.encode_hours),
        in_seconds(3600 * each.build_hours),
        f"{each.machine_hours:,.3g}",
        in_bytes(each.memory),
        in_bytes(each.index_bytes),
        in_seconds(each.query_seconds),
        f"{each.segment.chosen.cost.recall:.3f}",
        f"{each.query_machine_hours:,.3g}",
    ]


def _lines(fleet: Fleet, rate_from: str) -> Iterator[str]:
    """Yield the arithmetic, one line per sum."""
    rows, machines, cost = fleet.rows, fleet.machines, fleet.segment.chosen.cost
    hours, share = fleet.encode_hours, f"{counted(fleet.share, 'row')}"
    yield f"{machines:,} machines: {counted(rows, 'row')} / {machines:,} = {share} each"
    yield f"  rate       {fleet.rate:,.0f} texts per second, {rate_from}"
    yield (
        f"  encoding   {share} / {fleet.rate:,.0f} = {in_seconds(3600 * hours)} per machine = "
        f"{machines * hours:,.3g} machine-hours; memory does not grow with rows"
    )
    yield f"  vectors    {rows:,} rows x {fleet.dimension} dimensions x 4 = {in_bytes(fleet.vector_bytes)}"
    building = machines * fleet.build_hours
    yield f"  building   {in_seconds(cost.build_seconds)} per machine = {building:,.3g} machine-hours"
    yield f"  index      {in_bytes(cost.disk)} per machine x {machines:,} = {in_bytes(fleet.index_bytes)}"
    threads = f"{fleet.segment.machine.threads} thread(s) per machine"
    yield (
        f"  searching  {in_seconds(fleet.query_seconds)} in all of them at once, without the network; "
        f"{threads}: {fleet.queries_a_second:,.3g} queries per second"
    )
    yield "and per machine:"
    yield from arithmetic(fleet.segment)


def fleet_facts(fleet: Fleet, shape: list[Fleet], rate_from: str) -> dict[str, object]:
    """Return the plan for several machines as JSON values: hours, bytes, seconds."""
    return {
        "rows": fleet.rows,
        "dimension": fleet.dimension,
        "rate": round(fleet.rate, 3),
        "rate_from": rate_from,
        "vector_bytes": fleet.vector_bytes,
        **_facts(fleet),
        "shape": [_facts(each) for each in shape],
        "segment": plan_facts(fleet.segment),
    }


def _facts(fleet: Fleet) -> dict[str, object]:
    return {
        "machines": fleet.machines,
        "rows_each": fleet.share,
        "kind": fleet.segment.chosen.spec,
        "encode_hours": round(fleet.encode_hours, 6),
        "build_hours": round(fleet.build_hours, 6),
        "machine_hours": round(fleet.machine_hours, 6),
        "memory_bytes_each": round(fleet.memory),
        "index_bytes": round(fleet.index_bytes),
        "query_seconds": round(fleet.query_seconds, 7),
        "recall": round(fleet.segment.chosen.cost.recall, 4),
        "queries_a_second": round(fleet.queries_a_second, 3),
        "machine_hours_a_million_queries": round(fleet.query_machine_hours, 6),
    }
