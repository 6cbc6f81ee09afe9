"""Tune an index to a required recall: draw queries, measure settings, keep the fastest that reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    from embedkit.data.vectors.vector_set import Batch, VectorSet
    from embedkit.evaluation.index.document_queries import HeldOut
    from embedkit.evaluation.index.recall import MeasuredPoint
    from embedkit.evaluation.index.truth import Corpus, ExactNeighbours
    from embedkit.indexing.kind import Floats, Metric, Rehearsal, Rows
    from embedkit.indexing.operating_points import OperatingPoint, Tuning
    from embedkit.indexing.store import Index


FROM_DOCUMENTS = "documents, each turned by 45 degrees, its near-copies left out"


class QuerySet(NamedTuple):
    """Queries `(queries, dimension)` in the form that the index compares, a description of their source, and,
    for queries from documents, the `copies` of `Drawn`.
    """

    vectors: Floats
    source: str
    copies: Rows | None = None


def drawn_queries(corpus: Corpus, rows: int, seed: int) -> QuerySet:
    """Return at most a thousand queries drawn from documents `(rows, dimension)`."""
    from embedkit.evaluation.index.document_queries import QUERIES, turned_queries

    drawn = turned_queries(corpus, min(QUERIES, max(rows, 1)), seed)
    return QuerySet(drawn.queries, FROM_DOCUMENTS, drawn.copies)


def tuning_of(index: Index, measured: Iterable[MeasuredPoint], asked: QuerySet, k: int, seed: int) -> Tuning:
    """Return the tuning: measured points with the settings of the measurement."""
    from embedkit.indexing.operating_points import Tuning

    points = tuple(each.point for each in measured)
    return Tuning(k, len(asked.vectors), seed, asked.source, index.rows, points)


def settle(index: Index, found: Tuning, recall: float | None) -> tuple[Index, OperatingPoint | None]:
    """Store a tuning in the index, and set its operating point: the fastest that reaches the recall, or the
    best if none does. If `recall` is None, the operating point stays as it is.
    """
    from embedkit.indexing.edit import keep_tuning

    if recall is None:
        return keep_tuning(index.path, found), None
    point = found.cheapest(recall) or found.best
    return keep_tuning(index.path, found, point.settings), point


def require_recall(index: Index, found: Tuning, recall: float | None) -> None:
    """Raise EmbedkitError when no setting reaches the recall; the index is kept nonetheless."""
    if recall is not None and found.cheapest(recall) is None:
        what = f"no setting reaches recall {recall:g}; the index is kept at the best, {found.best}"
        hint = "try another kind, or more `max_memory`"
        raise EmbedkitError(what, where=str(index.path), hint=hint)


@dataclass(frozen=True)
class Unseen:
    """Documents that query the index before they are inserted, their exact neighbours, and measurements."""

    held: HeldOut
    truth: ExactNeighbours
    kind: Any
    rows: int  # number of rows without the held-out ones
    seed: int
    measured: list[MeasuredPoint] = field(default_factory=list)

    @classmethod
    def drawn(cls, corpus: Corpus, rows: int, kind: Any, seed: int) -> Unseen | None:
        """Draw documents to hold out; return None when there are too few."""
        from embedkit.evaluation.index.document_queries import QUERIES, held_out, without
        from embedkit.evaluation.index.recall import K
        from embedkit.evaluation.index.truth import find_truth

        held = held_out(corpus, QUERIES, rows, seed)
        if held is None:
            return None
        truth = find_truth(held.queries, without(corpus, held.rows), K)
        return cls(held, truth, kind, rows - len(held.rows), seed)

    @property
    def rehearsal(self) -> Rehearsal:
        """A rehearsal that measures as soon as all other rows are in the index."""
        from embedkit.evaluation.index.recall import Unfinished, curve
        from embedkit.indexing.kind import Rehearsal

        def ask(opened: Any) -> None:
            """Measure the index that is not finished yet."""
            self.measured.extend(curve(Unfinished(self.kind, opened), self.truth, seed=self.seed))

        return Rehearsal(self.rows, ask)

    def tuning(self, index: Index) -> Tuning:
        """Return the tuning from the measured points."""
        asked = QuerySet(self.held.queries, "documents that were not in it yet")
        return tuning_of(index, self.measured, asked, self.truth.k, self.seed)


def held_last(vectors: VectorSet, held: Rows) -> Iterator[Batch]:
    """Yield all rows of a vector set, the held-out rows last."""
    import numpy as np
    import pyarrow as pa

    from embedkit.data.vectors.vector_set import Batch

    for last in (False, True):
        first = 0
        for table, block in vectors.batches():
            chosen = np.isin(np.arange(first, first + len(block)), held) == last
            first += len(block)
            if chosen.any():
                yield Batch(table.filter(pa.array(chosen)), block[chosen])


def corpus_of(vectors: VectorSet, metric: Metric) -> Corpus:
    """Return the rows of a vector set in the form that an index with this metric compares."""
    import numpy as np

    from embedkit.embedding.encoder import unit_length

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row numbers and rows, one shard at a time."""
        first = 0
        for _, block in vectors.batches():
            yield np.arange(first, first + len(block)), unit_length(block) if metric == "cosine" else block
            first += len(block)

    return blocks
