"""What an index finds of the true nearest, and how fast, at each of its settings for search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.encoder import unit_length
from embedkit.errors import DataError
from embedkit.evaluation.bootstrap import Estimate, mean_estimate
from embedkit.indexing.kind import Floats, Kind, Rows
from embedkit.indexing.operating_points import OperatingPoint, ladder
from embedkit.indexing.query import blocks_of, exact_search
from embedkit.indexing.sampling import draw
from embedkit.indexing.store import Index, merged

Corpus = Callable[
    [], Iterable[tuple[Rows, Floats]]
]  # row numbers and vectors as they are compared, in blocks

QUERIES = 1000
K = 10
ALONE = 200  # queries that are searched for one by one
EXACT_ALONE = 20  # of exact search, which takes its time
TIED = 50  # places behind the k-th that are looked at for scores equal to its
EQUAL = 1e-6  # scores as near as this count as equal
ENOUGH = 0.9995  # recall, beyond which nothing slower is tried
COPY = 0.8  # cosine from which on a document is a near-copy of another
LEAST = 100  # documents that are worth holding out
COPIES = 64  # near-copies of a document that are looked for


class Searched(Protocol):
    """What is measured: an index, or one that is being built."""

    @property
    def settings(self) -> Kind:
        """The settings of the kind."""

    def tuned(self, **settings: Any) -> Searched:
        """Return the same, searched with other settings."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return similarities and rows, each `(queries, k)`, best first."""


@dataclass(frozen=True)
class Unfinished:
    """An index that is being built: what its kind searches, as far as it has come."""

    settings: Kind
    opened: Any

    def tuned(self, **settings: Any) -> Unfinished:
        """Return the same, searched with other settings."""
        return replace(self, settings=replace(self.settings, **settings))  # type: ignore[type-var]

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        return self.settings.search(self.opened, queries, k)


class HeldOut(NamedTuple):
    """Documents that ask `(queries, dimension)`, and the rows to be put into an index after they have: they
    and their near-copies, in order.
    """

    queries: Floats
    rows: Rows


class Drawn(NamedTuple):
    """Queries `(queries, dimension)` made of documents, and of each its document with the near-copies of it
    `(queries, most)`, if there are any, -1 beyond them: rows that count neither as found nor as missed.
    """

    queries: Floats
    copies: Rows


class Truth(NamedTuple):
    """Queries `(queries, dimension)`, and of each the rows whose scores reach its `k`-th best: `k` rows and
    those that tie with the last; -1 where there are no more. `copies` are those of `Drawn`.
    """

    queries: Floats
    rows: Rows
    first: Rows  # (queries, 1 + ties): the same for k = 1
    k: int
    copies: Rows

    @property
    def searched(self) -> int:
        """How many rows are searched for, so that `k` are left without the near-copies."""
        return self.k + int(self.copies.shape[1])


class Measured(NamedTuple):
    """One setting: recall of the nearest one and of the nearest k, and its cost; p95 of queries alone."""

    settings: Mapping[str, int]
    first: Estimate
    recall: Estimate
    milliseconds: float
    p95: float
    queries_a_second: float

    @property
    def point(self) -> OperatingPoint:
        """What is kept in the manifest."""
        value, low, high = (round(figure, 6) for figure in self.recall)
        milliseconds, rate = round(self.milliseconds, 4), round(self.queries_a_second, 1)
        return OperatingPoint(dict(self.settings), value, low, high, milliseconds, rate)


def stored(index: Index) -> Corpus:
    """Return the vectors that an index stores, decoded where it keeps codes, of documents not deleted."""
    return lambda: ((rows, index.vectors(rows)) for rows in blocks_of(index))


def held_out(corpus: Corpus, number: int, total: int, seed: int) -> HeldOut | None:
    """Draw up to `number` documents that ask an index before they are put into it: sentences that it has not
    seen, and none like them.

    With their near-copies they are a twentieth of all `total` rows at most; None where fewer than `LEAST`
    can be had so. Rows are numbered from 0 on.
    """
    drawn, places = draw((block for _, block in corpus()), seed, number)
    copies = near_copies(unit_length(drawn), corpus)
    family = np.concatenate([places[:, None], np.where(copies == places[:, None], -1, copies)], axis=1)
    most = int(np.searchsorted(np.cumsum((family >= 0).sum(axis=1)), total // 20, side="right"))
    if most < LEAST:
        return None
    rows = np.unique(family[:most])
    return HeldOut(drawn[:most], rows[rows >= 0])


def without(corpus: Corpus, held: Rows) -> Corpus:
    """Return a corpus without some rows; those that are left are numbered anew, from 0 on."""

    def blocks() -> Iterator[tuple[Rows, Floats]]:
        first = 0
        for rows, block in corpus():
            kept = block[~np.isin(rows, held)]
            yield np.arange(first, first + len(kept)), kept
            first += len(kept)

    return blocks


def turned_queries(corpus: Corpus, number: int, seed: int) -> Drawn:
    """Return `number` queries that lie among the documents and are none of them.

    Each is a document, drawn at random, turned by 45 degrees in a random direction. Documents as they are
    would be too easy: a graph was built by looking for their neighbours, and leads from them to these.
    Of 6,000 and 99,000 sentences by minilm, turned ones and sentences that no graph has seen need about the
    same effort at a recall of .95. A document with near-copies is named with them, to be left out: they would
    be all of the nearest, in one place, and the rest of the corpus never looked for. A graph of nothing but
    near-copies still finds less for questions that it has not seen: .935 of a million where .95 was measured.
    """
    drawn, _ = draw((block for _, block in corpus()), seed, number)
    if not len(drawn):
        raise DataError("there is no document to draw queries from")
    unit = unit_length(drawn)
    noise = np.random.default_rng(seed + 1).normal(size=unit.shape).astype(np.float32)
    noise = unit_length(noise - np.sum(noise * unit, axis=1, keepdims=True) * unit)
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    queries = np.asarray((unit + noise) * lengths / np.sqrt(2), dtype=np.float32)
    return Drawn(queries, near_copies(unit, corpus))


def near_copies(unit: Floats, corpus: Corpus) -> Rows:
    """Return the rows `(documents, most)` at a cosine of at least `COPY` to documents of unit length
    `(documents, dimension)`, themselves included; none of a document that has no near-copy; -1 beyond them.
    """
    scores, rows = _nearest(unit, lambda: ((rows, unit_length(block)) for rows, block in corpus()), COPIES)
    family = (scores >= COPY).sum(axis=1, keepdims=True)
    copies: Rows = np.where((family > 1) & (np.arange(rows.shape[1]) < family), rows, -1)
    return copies[:, : int(family.max()) if family.max() > 1 else 0]


def find_truth(queries: Floats, corpus: Corpus, k: int, copies: Rows | None = None) -> Truth:
    """Return what exact search finds: the rows of the `k` best inner products of each query, and ties;
    without `copies`, unless fewer than `k` would be left of some query.
    """
    none = np.empty((len(queries), 0), np.int64)
    copies = none if copies is None else copies
    scores, rows = _nearest(queries, corpus, k + TIED + copies.shape[1])
    k = min(k, scores.shape[1])
    order, left = _without(rows, copies)
    if left.min() < k:
        order, copies = np.arange(rows.shape[1])[None], none
    else:
        scores = np.where(np.arange(rows.shape[1]) < left[:, None], _taken(scores, order), -np.inf)
    rows = _taken(rows, order)
    all_of, first = (np.where(_ties(scores, n), rows, -1) for n in (k, 1))
    return Truth(queries, all_of, first, k, copies)


def measure(index: Searched, truth: Truth, settings: Mapping[str, int], *, seed: int = 0) -> Measured:
    """Measure one setting: recall with an interval over queries, queries alone, and all of them at once."""
    tuned = index.tuned(**settings) if settings else index
    tuned.search(truth.queries, truth.searched)  # what is mapped comes from the disk now, not below
    started = time.perf_counter()
    _, rows = tuned.search(truth.queries, truth.searched)
    taken = time.perf_counter() - started
    rows = _taken(rows, _without(rows, truth.copies)[0])[:, : truth.k]
    alone = 1000 * np.array([_seconds(tuned, query[None], truth.k) for query in truth.queries[:ALONE]])
    recall = mean_estimate(_found(rows, truth.rows) / truth.k, seed=seed)
    first = mean_estimate(_found(rows[:, :1], truth.first), seed=seed)
    median, p95 = (float(value) for value in np.quantile(alone, [0.5, 0.95]))
    return Measured(settings, first, recall, median, p95, len(rows) / taken)


def measure_exact(index: Index, truth: Truth, *, seed: int = 0) -> Measured:
    """Measure exact search of the same queries: the line that settings are compared with."""
    every = np.ones(len(truth.queries))
    exact_search(index, truth.queries[:1], truth.k)  # all of it comes from the disk now
    started = time.perf_counter()
    exact_search(index, truth.queries, truth.k)
    taken = time.perf_counter() - started
    alone = []
    for query in truth.queries[:EXACT_ALONE]:
        begun = time.perf_counter()
        exact_search(index, query[None], truth.k)
        alone.append(1000 * (time.perf_counter() - begun))
    median, p95 = (float(value) for value in np.quantile(alone, [0.5, 0.95]))
    all_found = mean_estimate(every, seed=seed)
    return Measured({}, all_found, all_found, median, p95, len(every) / taken)


def curve(index: Searched, truth: Truth, *, seed: int = 0) -> Iterator[Measured]:
    """Measure the settings of a search from the quickest on, until nearly everything is found or three steps
    more find no more. A kind without such settings is one point.
    """
    names = sorted(index.settings.per_query)
    if not names:
        yield measure(index, truth, {}, seed=seed)
        return
    best: list[float] = []
    for value in ladder():
        if names[0] == "ef_search" and value < truth.searched:
            continue  # it would be searched with as many
        point = measure(index, truth, {names[0]: value}, seed=seed)
        yield point
        best.append(point.recall.value)
        if best[-1] >= ENOUGH or (len(best) > 3 and best[-1] <= best[-4]):
            return


def _nearest(queries: Floats, corpus: Corpus, k: int) -> tuple[Floats, Rows]:
    import faiss

    best = (np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    for rows, block in corpus():
        least = min(k, len(rows))
        block = np.ascontiguousarray(block)
        scores, places = faiss.knn(queries, block, least, metric=faiss.METRIC_INNER_PRODUCT)
        best = merged([best, (scores, rows[places])], np.zeros(2, np.int64), k, len(queries))
    return best


def _without(rows: Rows, copies: Rows) -> tuple[Rows, Rows]:
    """Return the order `(queries, found)` that puts rows among `copies` of the same query last, and how many
    go before.
    """
    among = np.zeros(rows.shape, np.bool_)
    for column in copies.T:
        among |= (rows == column[:, None]) & (rows >= 0)
    return np.argsort(among, axis=1, kind="stable"), (~among & (rows >= 0)).sum(axis=1)


def _taken(values: Any, order: Rows) -> Any:
    return np.take_along_axis(values, np.broadcast_to(order, (len(values), order.shape[1])), axis=1)


def _ties(scores: Floats, k: int) -> NDArray[np.bool_]:
    """Say which scores `(queries, found)`, best first, reach the `k`-th."""
    least = scores[:, k - 1 : k]
    return scores >= least - EQUAL * np.maximum(1, np.abs(least))


def _found(rows: Rows, true: Rows) -> NDArray[np.float64]:
    """Return how many of `rows` are among the true ones of the same query, `(queries,)`."""
    pairs = zip(rows, true, strict=True)
    return np.array([(np.isin(found, wanted) & (found >= 0)).sum() for found, wanted in pairs], np.float64)


def _seconds(index: Searched, query: Floats, k: int) -> float:
    started = time.perf_counter()
    index.search(query, k)
    return time.perf_counter() - started
