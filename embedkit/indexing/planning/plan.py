"""A plan: which index kind, with which settings, does what is wished for at the least work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from embedkit import spec
from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.kinds.ivf import ROWS_A_LIST, numbers_a_row
from embedkit.indexing.operating_points import ladder
from embedkit.indexing.planning.costs import COSTED, Cost, K, cost_of, expected_recall
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.sampling import SAMPLE_ROWS

RECALL = 0.95  # wished for where nothing is said
LATENCY = 0.1  # seconds that a query may take where nothing is said
SIMPLE = 1e-3  # seconds of a query up to which a flat index, which is exact, is good enough
QUERIES = 1_000_000  # searched for one by one over the life of an index: the work that a plan keeps small
_MOST = {"ef_search": 4096, "oversample": 1024}  # of settings for search
_MOST_LISTS = 1 << 20


@dataclass(frozen=True)
class Wishes:
    """What an index shall do; `max_memory` in bytes for the whole process, `latency` in seconds a query."""

    recall: float = RECALL
    max_memory: float = math.inf
    latency: float = LATENCY


class Candidate(NamedTuple):
    """A kind with its settings, what it costs, and which wishes it leaves open."""

    kind: Any
    cost: Cost
    fails: tuple[str, ...]

    @property
    def spec(self) -> str:
        """Its spec, as `--kind` takes it."""
        return spec.render(self.kind)

    @property
    def work(self) -> float:
        """Seconds of building it and of a million queries."""
        return self.cost.build_seconds + QUERIES * self.cost.query_seconds


class Plan(NamedTuple):
    """The best of each kind, and the one that is chosen; `process` is what a process takes before any row."""

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
    """Choose the kind that fulfils all wishes with the least work; where none does, the one of the highest
    expected recall among those that fit into memory, quick ones first.

    With `kind` only the settings that it leaves open are chosen. Raises EmbedkitError when not even the
    smallest fits into memory.
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
            f"{process:,} of them for the process itself, {wishes.max_memory:,.0f} are allowed",
            where="--max-memory",
            hint="allow more, or fewer dimensions with embedkit reduce",
        )
    best = _best_of_each(tried)
    return Plan(rows, dimension, wishes, machine, process, best, min(fitting, key=_rank))


def _rank(candidate: Candidate) -> tuple[float, ...]:
    """Order candidates: all wishes, simple before the least work; else quick enough, the highest recall (to a
    hundredth), and the least work.
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


def _kinds(rows: int, dimension: int, wishes: Wishes, named: str | None) -> Iterator[Any]:
    """Yield settings worth a look, or those that the named kind leaves open."""
    if named is not None:
        kind = _settled(spec.parse("index", named), rows, dimension)
        yield from _searched(kind, rows, dimension, wishes.recall)
        return
    yield spec.parse("index", "flat")
    for each in _built(rows, dimension):
        yield from _searched(spec.parse("index", each), rows, dimension, wishes.recall)


def _built(rows: int, dimension: int) -> Iterator[str]:
    yield from ("int8", "int8:rescore=none", "binary")
    for storage in ("flat", "fp16", "sq8"):
        for m in (16, 32):
            yield from (f"hnsw:m={m},ef_construction={ef},storage={storage}" for ef in (40, 100, 200))
    for lists in sorted({_lists(rows, times) for times in (1, 2, 4, 8)}):
        yield from (f"ivf:lists={lists},storage={storage}" for storage in ("flat", "sq8"))
        for m in sorted({max(1, dimension // part) for part in (2, 4, 5, 6, 8, 16)}):
            yield f"ivf:lists={lists},storage=pq,m={m}"


def _lists(rows: int, times: float) -> int:
    """Return a number of lists near `times` the root of the rows, with 39 rows each at least."""
    return max(1, min(round(times * math.sqrt(rows)), rows // ROWS_A_LIST, _MOST_LISTS))


def _settled(kind: Any, rows: int, dimension: int) -> Any:
    """Return a kind that somebody named with the numbers that it would choose for itself while it is built.

    Raises UsageError for one whose costs nobody knows.
    """
    name = spec.render(kind)
    if name.partition(":")[0] not in COSTED:
        raise UsageError(
            "its costs are not known", where=f"--kind {name}", hint=f"known: {', '.join(COSTED)}"
        )
    if not hasattr(kind, "lists"):
        return kind
    m = numbers_a_row(kind.m, dimension, opq=kind.opq) if kind.storage == "pq" else None
    lists = kind.lists or round(4 * math.sqrt(min(rows, SAMPLE_ROWS)))
    return replace(kind, lists=max(1, min(lists, rows // ROWS_A_LIST)), m=m)


def _searched(kind: Any, rows: int, dimension: int, recall: float) -> Iterator[Any]:
    """Yield the kind with the first setting for search that is expected to reach the recall; where none is,
    with every one.
    """
    tried = [kind]
    for name in kind.per_query:
        most, least = (kind.lists if name == "probes" else _MOST[name]), (K if name == "ef_search" else 1)
        values = [value for value in ladder(most - 1) if value >= least]
        tried = [replace(kind, **{name: value}) for value in (*values, most)]
    reaching = (each for each in tried if expected_recall(each, rows, dimension) >= recall)
    first = next(reaching, None)
    yield from tried if first is None else [first]
