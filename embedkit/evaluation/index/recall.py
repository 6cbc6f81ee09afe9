"""Measure the recall and the speed of an index at each of its search settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from embedkit.evaluation.bootstrap import Estimate, mean_estimate
from embedkit.evaluation.index.truth import ExactNeighbours
from embedkit.indexing.kind import Floats, IndexKind, Rows
from embedkit.indexing.operating_points import OperatingPoint, ladder
from embedkit.indexing.query import exact_search
from embedkit.indexing.store import Index

K = 10
ALONE = 200  # queries that are searched one by one
EXACT_ALONE = 20  # the same for exact search, which is slow
LONG = 1.0  # seconds during which the search of all queries at once is repeated
ENOUGH = 0.9995  # recall at which slower settings are no longer tried


class Searchable(Protocol):
    """An index to measure, finished or being built."""

    @property
    def settings(self) -> IndexKind:
        """The settings of the index kind."""

    def tuned(self, **settings: Any) -> Searchable:
        """Return the same index with other search settings."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return similarities and rows, each `(queries, k)`, best first."""


@dataclass(frozen=True)
class Unfinished:
    """An index that is being built, searchable with the rows added so far."""

    settings: IndexKind
    opened: Any

    def tuned(self, **settings: Any) -> Unfinished:
        """Return the same index with other search settings."""
        return replace(self, settings=replace(self.settings, **settings))  # type: ignore[type-var]

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        return self.settings.search(self.opened, queries, k)


class MeasuredPoint(NamedTuple):
    """One setting: the recall of the nearest 1 and of the nearest k, and the cost of queries; `milliseconds`
    is the median and `p95` the 95th percentile of single queries.
    """

    settings: Mapping[str, int]
    first: Estimate
    recall: Estimate
    milliseconds: float
    p95: float
    queries_a_second: float

    @property
    def point(self) -> OperatingPoint:
        """The operating point to store in the manifest."""
        value, low, high = (round(figure, 6) for figure in self.recall)
        milliseconds, rate = round(self.milliseconds, 4), round(self.queries_a_second, 1)
        return OperatingPoint(dict(self.settings), value, low, high, milliseconds, rate)


def measure(
    index: Searchable, truth: ExactNeighbours, settings: Mapping[str, int], *, seed: int = 0
) -> MeasuredPoint:
    """Measure one setting: recall with its interval over queries, the time of single queries, and the rate of
    all queries at once.
    """
    tuned = index.tuned(**settings) if settings else index
    _, rows = tuned.search(truth.queries, truth.searched)  # loads mapped files from disk before timing
    taken = _usual(tuned.search, truth.queries, truth.searched)
    alone = 1000 * np.array([_seconds(tuned.search, query[None], truth.k) for query in truth.queries[:ALONE]])
    first, recall = (mean_estimate(values, seed=seed) for values in truth.recalls(rows))
    median, p95 = (float(value) for value in np.quantile(alone, [0.5, 0.95]))
    return MeasuredPoint(settings, first, recall, median, p95, len(rows) / taken)


def measure_exact(index: Index, truth: ExactNeighbours, *, seed: int = 0) -> MeasuredPoint:
    """Measure exact search of the same queries, the baseline of all settings."""
    every = np.ones(len(truth.queries))
    exact_search(index, truth.queries[:1], truth.k)  # loads everything from disk before timing
    taken = _usual(exact_search, index, truth.queries, truth.k)
    alone = [
        1000 * _seconds(exact_search, index, query[None], truth.k) for query in truth.queries[:EXACT_ALONE]
    ]
    median, p95 = (float(value) for value in np.quantile(alone, [0.5, 0.95]))
    all_found = mean_estimate(every, seed=seed)
    return MeasuredPoint({}, all_found, all_found, median, p95, len(every) / taken)


def curve(index: Searchable, truth: ExactNeighbours, *, seed: int = 0) -> Iterator[MeasuredPoint]:
    """Yield the measured search settings, the fastest first, until the recall reaches `ENOUGH` or three more
    steps do not raise it. A kind without such settings yields one point.
    """
    varied = list(index.settings.limits(truth.searched).items())
    if not varied:
        yield measure(index, truth, {}, seed=seed)
        return
    best: list[float] = []
    name, (least, _) = varied[0]
    for value in ladder():
        if value < least:
            continue
        point = measure(index, truth, {name: value}, seed=seed)
        yield point
        best.append(point.recall.value)
        if best[-1] >= ENOUGH or (len(best) > 3 and best[-1] <= best[-4]):
            return


def _usual(search: Callable[..., object], *asked: Any) -> float:
    """Return the median seconds of repeated searches: as many as start within `LONG`, at most five."""
    taken = [_seconds(search, *asked)]
    while len(taken) < 5 and sum(taken) < LONG:
        taken.append(_seconds(search, *asked))
    return float(np.median(taken))


def _seconds(search: Callable[..., object], *asked: Any) -> float:
    started = time.perf_counter()
    search(*asked)
    return time.perf_counter() - started
