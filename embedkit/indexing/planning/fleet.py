"""Cost of several machines: estimates for encoding, building and searching from the rates of one machine.

Each machine encodes a run of the corpus and builds a segment of it. A query goes to every segment, and the
best of all hits are merged; so it takes as long as a search of one segment, and costs as much as the searches
of all segments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.planning.plan import Plan, Wishes, plan_index

_HOUR, _MILLION = 3600, 1_000_000
_WINDOW = 512  # texts encoded between two readings of the clock


class Fleet(NamedTuple):
    """Estimated costs on a number of equal machines; `segment` is the plan of one machine's share."""

    rows: int
    dimension: int
    machines: int
    rate: float  # texts per second that one machine encodes
    segment: Plan

    @property
    def share(self) -> int:
        """Return the rows of one machine, rounded up."""
        return self.segment.rows

    @property
    def encode_hours(self) -> float:
        """Return the hours until all machines have encoded their share."""
        return self.share / self.rate / _HOUR

    @property
    def build_hours(self) -> float:
        """Return the hours until all machines have built their segment."""
        return self.segment.chosen.cost.build_seconds / _HOUR

    @property
    def machine_hours(self) -> float:
        """Return the hours of encoding and building, summed over all machines."""
        return self.machines * (self.encode_hours + self.build_hours)

    @property
    def memory(self) -> float:
        """Return the bytes in each machine's process, at the peak of building or searching."""
        cost = self.segment.chosen.cost
        return self.segment.process + max(cost.build_memory, cost.search_memory)

    @property
    def vector_bytes(self) -> int:
        """Return the bytes of all vectors as encoded, without texts."""
        return 4 * self.rows * self.dimension

    @property
    def index_bytes(self) -> float:
        """Return the bytes of all segments, without documents."""
        return self.machines * self.segment.chosen.cost.disk

    @property
    def query_seconds(self) -> float:
        """Return the seconds that a single query takes, without the network."""
        return self.segment.chosen.cost.query_seconds

    @property
    def queries_a_second(self) -> float:
        """Return the queries per second that all machines together answer at full load."""
        return self.segment.machine.threads / self.query_seconds

    @property
    def query_machine_hours(self) -> float:
        """Return the hours that a million queries take, summed over all machines."""
        return self.machines * _MILLION / self.queries_a_second / _HOUR


def plan_fleet(
    rows: int,
    dimension: int,
    wishes: Wishes,
    machine: Machine,
    *,
    machines: int,
    rate: float,
    process: int = 0,
    kind: str | None = None,
) -> Fleet:
    """Return the costs on `machines` machines like `machine`, each within the requested memory and latency.

    Raises UsageError for more machines than rows, EmbedkitError if a share does not fit into a machine.
    """
    if machines > rows:
        raise UsageError(f"must be at most the {rows:,} rows, got {machines:,}", where="`machines`")
    share = -(-rows // machines)
    segment = plan_index(share, dimension, wishes, machine, process=process, kind=kind)
    return Fleet(rows, dimension, machines, rate, segment)


def cost_shape(fleet: Fleet, kind: str | None = None) -> list[Fleet]:
    """Return the costs on one, half as many, as many and twice as many machines, without the counts at which
    a share does not fit into a machine.
    """
    counts = sorted({1, max(1, fleet.machines // 2), fleet.machines, 2 * fleet.machines})
    plan, found = fleet.segment, []
    for count in counts:
        with suppress(EmbedkitError):
            found.append(
                plan_fleet(
                    fleet.rows, fleet.dimension, plan.wishes, plan.machine,
                    machines=count, rate=fleet.rate, process=plan.process, kind=kind,
                )
            )  # fmt: skip
    return found


def encoding_rate(
    encode: Callable[[Sequence[str]], object], texts: Sequence[str], *, seconds: float = 5.0
) -> float:
    """Return texts per second, over as many windows as `seconds` allow, after a first window as warm-up."""
    encode(texts[:_WINDOW])
    done, started = 0, time.perf_counter()
    for start in range(0, len(texts), _WINDOW):
        window = texts[start : start + _WINDOW]
        encode(window)
        done += len(window)
        if time.perf_counter() - started > seconds:
            break
    return done / (time.perf_counter() - started)
