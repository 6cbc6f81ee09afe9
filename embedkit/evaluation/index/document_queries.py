"""Make queries for an index from documents: held out of it, or rotated, with their near-copies identified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from embedkit.embedding.encoder import unit_length
from embedkit.errors import DataError
from embedkit.evaluation.index.truth import Corpus
from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.nearest import nearest
from embedkit.indexing.query import blocks_of
from embedkit.indexing.sampling import draw
from embedkit.indexing.store import Index

QUERIES = 1000
COPY = 0.8  # lowest cosine at which a document is a near-copy of another
LEAST = 100  # fewest documents to hold out
COPIES = 64  # nearest documents to check for near-copies


class HeldOut(NamedTuple):
    """Documents as queries `(queries, dimension)`, and the rows to insert into the index after the queries
    have run: these documents and their near-copies, in order.
    """

    queries: Floats
    rows: Rows


class Drawn(NamedTuple):
    """Queries `(queries, dimension)` made from documents, and rows `(queries, most)` that count neither as
    found nor as missed: a document that has near-copies, and these; -1 fills the rest.
    """

    queries: Floats
    copies: Rows


def stored(index: Index) -> Corpus:
    """Return the vectors of an index's documents that are not deleted, decoded if the index stores codes."""
    return lambda: ((rows, index.vectors(rows)) for rows in blocks_of(index))


def held_out(corpus: Corpus, number: int, total: int, seed: int) -> HeldOut | None:
    """Draw up to `number` documents that query an index before they are inserted, so that the index contains
    neither them nor their near-copies.

    With their near-copies they are at most a twentieth of all `total` rows. The result is None when fewer
    than `LEAST` documents fit this limit. Rows are numbered from 0.
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
    """Return a corpus without the rows `held`; the remaining rows are renumbered from 0."""

    def blocks() -> Iterator[tuple[Rows, Floats]]:
        """Yield the rows that are left, with their new numbers."""
        first = 0
        for rows, block in corpus():
            kept = block[~np.isin(rows, held)]
            yield np.arange(first, first + len(kept)), kept
            first += len(kept)

    return blocks


def turned_queries(corpus: Corpus, number: int, seed: int) -> Drawn:
    """Return `number` queries that lie among the documents but are not documents.

    Each query is a random document rotated by 45 degrees in a random direction. Unrotated documents would be
    too easy: a graph is built by searching for their neighbours, so it leads from them to their neighbours.
    With 6,000 and 99,000 sentences by minilm, rotated documents and sentences outside the graph need about
    the same effort at a recall of .95. A document with near-copies is listed with them, to be left out:
    otherwise the near-copies would be all of the nearest, in one place, and the rest of the corpus would not
    be tested. A graph of near-copies only still finds less for unseen queries: .935 with a million documents
    where .95 was measured.
    """
    drawn, _ = draw((block for _, block in corpus()), seed, number)
    if not len(drawn):
        raise DataError("the index contains no document to draw queries from")
    unit = unit_length(drawn)
    noise = np.random.default_rng(seed + 1).normal(size=unit.shape).astype(np.float32)
    noise = unit_length(noise - np.sum(noise * unit, axis=1, keepdims=True) * unit)
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    queries = np.asarray((unit + noise) * lengths / np.sqrt(2), dtype=np.float32)
    return Drawn(queries, near_copies(unit, corpus))


def near_copies(unit: Floats, corpus: Corpus) -> Rows:
    """Return, per document of unit length `(documents, dimension)`, the rows `(documents, most)` at a cosine
    of at least `COPY` to it, itself included; no rows if it has no near-copy. -1 fills the rest.
    """
    scores, rows = nearest(unit, ((rows, unit_length(block)) for rows, block in corpus()), COPIES)
    family = (scores >= COPY).sum(axis=1, keepdims=True)
    copies: Rows = np.where((family > 1) & (np.arange(rows.shape[1]) < family), rows, -1)
    return copies[:, : int(family.max()) if family.max() > 1 else 0]
