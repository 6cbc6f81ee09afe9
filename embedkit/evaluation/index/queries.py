"""Queries for an index: documents held out of it, or turned from where they are; near-copies known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from embedkit.embedding.encoder import unit_length
from embedkit.errors import DataError
from embedkit.evaluation.index.truth import Corpus, nearest
from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.query import blocks_of
from embedkit.indexing.sampling import draw
from embedkit.indexing.store import Index

QUERIES = 1000
COPY = 0.8  # cosine from which on a document is a near-copy of another
LEAST = 100  # documents that are worth holding out
COPIES = 64  # near-copies of a document that are looked for


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
    scores, rows = nearest(unit, lambda: ((rows, unit_length(block)) for rows, block in corpus()), COPIES)
    family = (scores >= COPY).sum(axis=1, keepdims=True)
    copies: Rows = np.where((family > 1) & (np.arange(rows.shape[1]) < family), rows, -1)
    return copies[:, : int(family.max()) if family.max() > 1 else 0]
