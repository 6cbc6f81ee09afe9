"""The cost of an index before it exists: bytes, seconds and expected recall, by arithmetic.

Each index kind states its own cost; this file holds the terms and the arithmetic that they share. Times
multiply counts by the speeds of a machine. Recall was measured on 99,000 sentences of Wikipedia encoded by
minilm, with other sentences as queries (nearest 10), and is extrapolated to other sizes: a first guess, which
`index tune` replaces by a measurement.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from embedkit.indexing.planning.machine import Machine

BLOCK_ROWS = 16384  # rows per block that is read, changed and written; at most three copies
K = 10  # hits for which recall is estimated
WRITTEN = 3e8  # bytes per second to a disk, flushed
CALL = 3e-5  # seconds of overhead per search


class Term(NamedTuple):
    """One term of a cost: a number of items and the bytes of each."""

    what: str
    number: int
    each: float

    @property
    def bytes(self) -> float:
        """Return the bytes of all items."""
        return self.number * self.each


class Cost(NamedTuple):
    """The cost of an index: terms in bytes, seconds, and the expected recall of the nearest 10."""

    mapped: tuple[Term, ...]  # in memory while it is searched, and on disk
    unmapped: tuple[Term, ...]  # on disk only
    building: tuple[Term, ...]  # in memory while it is built
    build_seconds: float
    query_seconds: float
    recall: float

    @property
    def disk(self) -> float:
        """Return the bytes of the index without its documents."""
        return sum(term.bytes for term in (*self.mapped, *self.unmapped))

    @property
    def search_memory(self) -> float:
        """Return the bytes in memory once searches have touched everything."""
        return sum(term.bytes for term in self.mapped)

    @property
    def build_memory(self) -> float:
        """Return the bytes in memory at the peak of building."""
        return sum(term.bytes for term in self.building)


class Costed(Protocol):
    """A kind that states its cost."""

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows."""


STORED_RECALL = {"flat": 1.0, "fp16": 0.999, "sq8": 0.993}
STORED_BYTES = {"flat": 4.0, "fp16": 2.0, "sq8": 1.0}


def cost_of(kind: Costed, rows: int, dimension: int, machine: Machine) -> Cost:
    """Return the cost of `rows` rows of size `dimension` in a kind with all its settings known."""
    cost = kind.cost(rows, dimension, machine)
    kept = Term("a tenth more, kept by the allocator", 1, cost.build_memory / 10)
    return cost._replace(building=(*cost.building, kept))


def expected_recall(kind: Costed, rows: int, dimension: int) -> float:
    """Return the expected recall of the nearest 10, which does not depend on the machine."""
    from embedkit.indexing.planning.machine import Machine

    return cost_of(kind, rows, dimension, Machine(1, 1, 1, 1, 1)).recall


def blocks_in_memory(rows: int, dimension: int) -> tuple[Term, ...]:
    """Return the memory that every kind needs while it is built: blocks in flight, and 8 bytes per id."""
    block = Term("rows of a block, three times", BLOCK_ROWS, 3 * 4 * dimension)
    return (block, Term("rows, for their ids", rows, 8))


def sample_in_memory(rows: int, sampled: int, dimension: int) -> Term:
    """Return the memory of a random sample of `sampled` rows while it is drawn."""
    return Term("rows of a sample, twice", min(rows, sampled), 2 * 4 * dimension)


def lists_recall(probes: float, lists: int) -> float:
    """Return the expected share of the nearest rows that lie in the `probes` nearest of `lists` lists by
    k-means; 1 if a search reads all of them.
    """
    rate = 0.754 * (lists / 316) ** -0.243
    return 1.0 if probes >= lists else 1 - math.exp(-rate * probes**0.4)


def rescored_rows(rescore: str | None, rows: int, dimension: int) -> tuple[Term, ...]:
    """Return the disk space of vectors for a second pass, for `rescore` float32, float16 or None."""
    if rescore is None:
        return ()
    return (Term(f"rows of {rescore}, on disk", rows, {"float32": 4, "float16": 2}[rescore] * dimension),)


def rescoring_seconds(oversample: int, dimension: int) -> float:
    """Return the seconds that reading and rescoring the candidates of one query take."""
    return max(K * oversample, 100) * (5e-7 + 4 * dimension / 5e9)
