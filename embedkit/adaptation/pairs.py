"""Training pairs of documents without labels: queries and the texts that they should find."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from embedkit.adaptation.passage import PairMethod, passage_of
from embedkit.data.text.display import counted
from embedkit.data.text.record import Record
from embedkit.errors import DataError


class TrainingPair(NamedTuple):
    """A query and its positive, with the id of the document that both come from.

    Training finds its columns by these names.
    """

    query: str
    positive: str
    positive_id: str


@dataclass
class PairCounts:
    """Counts of a run: the documents, those from which no pair was made, pairs and exact repeats."""

    documents: int = 0
    without: int = 0
    pairs: int = 0
    repeats: int = 0  # left out

    def to_json(self) -> dict[str, int]:
        """Return plain JSON values."""
        return asdict(self)

    def words(self, method: PairMethod) -> str:
        """Return the counts in words."""
        words = f"{counted(self.pairs, 'pair')} from {counted(self.documents, 'document')}"
        if self.without:
            words += f"; {self.without:,} {method.lack}"
        if self.repeats:
            words += f"; {counted(self.repeats, 'exact repeat')} left out"
        return words

    def require_pairs(self, method: PairMethod, *, where: str | None) -> None:
        """Raise DataError if no pair was made."""
        if not self.documents:
            raise DataError("the input contains no text", where=where)
        if not self.pairs:
            what = f"gives no pair: every document is {method.lack}"
            raise DataError(what, where=where, hint="use another `method`")


def make_pairs(
    records: Iterable[Record], method: PairMethod, *, seed: int = 0, counts: PairCounts | None = None
) -> Iterator[TrainingPair]:
    """Yield the pairs of documents, in order, by a method such as `spec.parse("pair", "inverse-cloze")`.

    The random choices of a document depend on the seed and its text alone, so copies of a document give the
    same pairs. A pair that equals an earlier one is left out, and so is a query that equals its positive.
    Memory does not grow with the documents: digests of the pairs lie in a temporary file.

    >>> method = embedkit.parse("pair", "inverse-cloze:keep=0")
    >>> for pair in embedkit.make_pairs(embedkit.open_records(["docs.jsonl"]), method): print(pair.query)
    """
    counts = PairCounts() if counts is None else counts
    with _Seen() as seen:
        for record in records:
            counts.documents += 1
            made = 0
            for query, positive in method.pairs_of(passage_of(record), _chance(seed, record)):
                if not query or not positive or query == positive:
                    continue
                made += 1
                if seen.is_new(query, positive):
                    counts.pairs += 1
                    yield TrainingPair(query, positive, record.id)
                else:
                    counts.repeats += 1
            counts.without += not made


def _chance(seed: int, record: Record) -> np.random.Generator:
    """Return the generator of a document's random choices."""
    return np.random.default_rng([seed, zlib.crc32(record.text.encode(errors="replace"))])


class _Seen:
    """Digests of pairs, in a temporary file that ends with the block."""

    def __enter__(self) -> _Seen:
        self._table = sqlite3.connect("", isolation_level=None)  # a private file, not in memory
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE seen (digest INTEGER PRIMARY KEY)")
        self._table.execute("BEGIN")
        return self

    def __exit__(self, *raised: object) -> None:
        self._table.close()

    def is_new(self, query: str, positive: str) -> bool:
        """Return whether a pair was not given before, and remember it."""
        text = f"{len(query)} {query} {positive}".encode(errors="replace")
        digest = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)
        done = self._table.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,))
        return done.rowcount == 1
