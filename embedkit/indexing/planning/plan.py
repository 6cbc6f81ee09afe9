"""A plan: the index kind, and its settings, that meets the requirements with the least work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from embedkit import spec
from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.kind import IndexKind
from embedkit.indexing.operating_points import ladder
from embedkit.indexing.planning.costs import Cost, K, cost_of, expected_recall
from embedkit.indexing.planning.machine import Machine

RECALL = 0.95  # required by default
LATENCY = 0.1  # maximum seconds per query, by default
SIMPLE = 1e-3  # seconds per query up to which a flat index, which is exact, is fast enough
QUERIES = 1_000_000  # single queries over the life of an index; a plan minimizes their work


@dataclass(frozen=True)
class Wishes:
    """Requirements of an index; `max_memory` in bytes for the whole process, `latency` in seconds
    per query.
    """

    recall: float = RECALL
    max_memory: float = math.inf
    latency: float = LATENCY


class Candidate(NamedTuple):
    """A kind with its settings, its cost, and the requirements that it does not meet."""

    kind: Any
    cost: Cost
    fails: tuple[str, ...]

    @property
    def spec(self) -> str:
        """Return the spec of the kind, as `spec.parse` accepts it."""
        return spec.render(self.kind)

    @property
    def work(self) -> float:
        """Return the seconds of building the index and of a million queries."""
        return self.cost.build_seconds + QUERIES * self.cost.query_seconds


class Plan(NamedTuple):
    """The best candidate of each kind, and the chosen one; `process` is the memory of a process without any
    row.
    """

    rows: int
    dimension: int
    wishes: Wishes
    machine: Machine
    process: int
    candidates: tuple[Candidate, ...]
    chosen: Candidate


def plan_index(
    rows: int, dimension: int, wishes: Wishes, machine: Machine, *, process: int = 0, kind: str | None = None
) -> Plan:
    """Choose the kind that meets all requirements with the least work.

    If none does, choose among those that fit into memory: fast enough first, then by highest expected recall.
    With `kind`, choose only the settings that it leaves open. Raises EmbedkitError when not even the smallest
    candidate fits into memory.
    """
    tried = [
        _judged(each, rows, dimension, wishes, machine, process)
        for each in _kinds(rows, dimension, wishes, kind)
    ]
    fitting = [each for each in tried if "memory" not in each.fails]
    if not fitting:
        smallest = min(tried, key=_memory)
        raise EmbedkitError(
            f"not even {smallest.spec} fits: it takes {process + _memory(smallest):,.0f} bytes, "
            f"{process:,} of them for the process itself, and {wishes.max_memory:,.0f} are allowed",
            where="`max_memory`",
            hint="allow more, or reduce the dimensions with embedkit reduce",
        )
    best = _best_of_each(tried)
    return Plan(rows, dimension, wishes, machine, process, best, min(fitting, key=_rank))


def _rank(candidate: Candidate) -> tuple[float, ...]:
    """Return the sort key of a candidate.

    Candidates that meet all requirements come first, a simple one before the least work; then those that are
    fast enough, by highest recall (to a hundredth) and least work.
    """
    if not candidate.fails:
        simple = candidate.spec == "flat" and candidate.cost.query_seconds <= SIMPLE
        return (0, not simple, candidate.work)
    return (1, "latency" in candidate.fails, -round(candidate.cost.recall, 2), candidate.work)


def _best_of_each(tried: list[Candidate]) -> tuple[Candidate, ...]:
    groups: dict[str, list[Candidate]] = {}
    for each in tried:
        groups.setdefault(f"{type(each.kind).__name__} {getattr(each.kind, 'storage', '')}", []).append(each)
    return tuple(
        min(group, key=lambda each: ("memory" in each.fails, *_rank(each))) for group in groups.values()
    )


def _judged(
    kind: Any, rows: int, dimension: int, wishes: Wishes, machine: Machine, process: int
) -> Candidate:
    candidate = Candidate(kind, cost_of(kind, rows, dimension, machine), ())
    open_wishes = {
        "memory": process + _memory(candidate) > wishes.max_memory,
        "recall": candidate.cost.recall < wishes.recall,
        "latency": candidate.cost.query_seconds > wishes.latency,
    }
    return candidate._replace(fails=tuple(name for name, fails in open_wishes.items() if fails))


def _memory(candidate: Candidate) -> float:
    return max(candidate.cost.build_memory, candidate.cost.search_memory)


def _kinds(rows: int, dimension: int, wishes: Wishes, named: str | None) -> Iterator[IndexKind]:
    """Yield the settings to compare: proposals of all kinds, or the settings that the named kind
    leaves open.
    """
    if named is not None:
        kind = spec.parse("index", named)
        if not _states_cost(type(kind)):
            known = [name for name in spec.kinds("index") if _states_cost(spec.kind_class("index", name))]
            raise UsageError(
                "its costs are unknown",
                where=f"`kind={spec.render(kind)}`",
                hint=f"known: {', '.join(known)}",
            )
        yield from _searched(kind.settled(rows, dimension), rows, dimension, wishes.recall)
        return
    for name in spec.kinds("index"):
        for kind in spec.kind_class("index", name).proposals(rows, dimension):
            yield from _searched(kind, rows, dimension, wishes.recall)


def _states_cost(kind: type[IndexKind]) -> bool:
    return kind.cost is not IndexKind.cost


def _searched(kind: IndexKind, rows: int, dimension: int, recall: float) -> Iterator[IndexKind]:
    """Yield the kind with the first per-query setting that is expected to reach the recall, or with every
    setting if none is.
    """
    tried: list[Any] = [kind]
    for name, (least, most) in kind.limits(K).items():
        values = [value for value in ladder(most - 1) if value >= least]
        tried = [replace(kind, **{name: value}) for value in (*values, most)]  # type: ignore[type-var]
    reaching = (each for each in tried if expected_recall(each, rows, dimension) >= recall)
    first = next(reaching, None)
    yield from tried if first is None else [first]
