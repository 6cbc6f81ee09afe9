"""BM25 over the segments of an index (Robertson and Zaragoza 2009), in the variant of Lucene:

    score(q, d) = sum over terms t of q:  idf(t) * f / (f + k1 * (1 - b + b * |d| / mean |d|))
    idf(t) = ln(1 + (N - n + 0.5) / (n + 0.5))

f is the count of t in d, n the number of documents with t, N the number of documents. All statistics are
those of the documents that are not deleted, over all segments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import FormatError
from embedkit.indexing.kind import Floats, Mask, Rows
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.postings import SAMPLE_ROWS, Occurrences, Postings

_BLOCK = 256  # scores whose maximum is taken at a time
_COMMON = 0.25  # share of the documents above which a term says little about any of them
_FEW_DOCUMENTS = 100  # for fewer, shares mean little


class Part(NamedTuple):
    """The lexical part of a segment: its postings, None without any, and the rows that are not deleted."""

    first: int  # row of the index at which the segment begins
    rows: int
    postings: Postings | None
    live: Mask | None  # None if no row was deleted


class Statistics(NamedTuple):
    """The spread of a query's scores over all documents."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Lexical:
    """The lexical parts of all segments, searched as one."""

    settings: LexicalSettings
    parts: tuple[Part, ...]
    documents: int  # documents of the index that are not deleted
    _norms: dict[int, Floats] = field(default_factory=dict, repr=False, compare=False)

    @property
    def stored_rows(self) -> int:
        """Count the rows of all segments, deleted rows included."""
        return sum(part.rows for part in self.parts)

    @cached_property
    def mean_length(self) -> float:
        """Return the mean number of terms of the documents."""
        total = 0
        for part in self.parts:
            if part.postings is not None:
                lengths = part.postings.lengths
                total += int((lengths if part.live is None else lengths[part.live]).sum(dtype=np.int64))
        return total / self.documents if self.documents else 0.0

    def scores(self, terms: Sequence[str]) -> Floats:
        """Return the score of each row of the index, `(stored_rows,)`; 0 for a deleted row, and for a row
        that holds none of the terms, which may repeat.
        """
        scores = np.zeros(self.stored_rows, np.float32)
        for term, repeated in Counter(terms).items():
            self._add(term, repeated, scores)
        return scores

    def explained(self, terms: Sequence[str], rows: Rows) -> list[dict[str, float]]:
        """Return, for each of some rows, its terms among those of a query, each with its part of the score,
        the largest first.
        """
        found: list[dict[str, float]] = [{} for _ in rows]
        for term, repeated in Counter(terms).items():
            scores = np.zeros(self.stored_rows, np.float32)
            self._add(term, repeated, scores)
            for place in np.flatnonzero(scores[rows]):
                found[place][term] = float(scores[rows[place]])
        return [dict(sorted(each.items(), key=lambda pair: -pair[1])) for each in found]

    def count(self, term: str) -> int:
        """Return how many documents hold a term, deleted ones included."""
        count = 0
        for part in self.parts:
            if part.postings is not None:
                with _damage_of(part.postings):
                    count += len(part.postings.occurrences(term).rows)
        return count

    def telling(self, terms: Collection[str]) -> frozenset[str]:
        """Return the terms that are not in many of the documents, as `the` is; all terms if none is left."""
        if self.documents < _FEW_DOCUMENTS:
            return frozenset(terms)
        most = _COMMON * self.documents
        return frozenset(term for term in terms if self.count(term) <= most) or frozenset(terms)

    def statistics(self, scores: Floats) -> Statistics:
        """Return mean and standard deviation of scores over all documents."""
        if not self.documents:
            return Statistics(0.0, 0.0)
        exact = scores.astype(np.float64)  # the difference of the squares is small
        mean, square = float(exact.sum()) / self.documents, float(exact @ exact) / self.documents
        return Statistics(mean, max(square - mean * mean, 0.0) ** 0.5)

    def holding(self, phrase: Sequence[str]) -> Mask:
        """Return the mask of rows, `(stored_rows,)`, that hold these terms one after another."""
        found = np.zeros(self.stored_rows, dtype=bool)
        for part in self.parts:
            if part.postings is not None and phrase:
                with _damage_of(part.postings):
                    found[part.first : part.first + part.rows][_phrase_rows(part.postings, phrase)] = True
        return found

    def sample(self) -> Rows:
        """Return rows drawn by their ids from all documents that have terms, at most `SAMPLE_ROWS`, in an
        order that does not depend on how documents are divided into segments.
        """
        rows, keys, limit = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], np.uint64(2**64 - 1)
        for part in self.parts:
            if part.postings is None:
                continue
            drawn, drawn_keys = part.postings.arrays["sample_rows"], part.postings.arrays["sample_keys"]
            with _damage_of(part.postings):
                with_terms = part.postings.lengths > 0
                if len(drawn) < np.count_nonzero(with_terms):  # rows with larger keys are unknown here
                    limit = min(limit, drawn_keys[-1])
                kept = (with_terms if part.live is None else with_terms & part.live)[drawn]
            rows.append(drawn[kept].astype(np.int64) + part.first)
            keys.append(drawn_keys[kept])
        all_rows, all_keys = np.concatenate(rows), np.concatenate(keys)
        order = np.argsort(all_keys, kind="stable")
        return all_rows[order[all_keys[order] <= limit]][:SAMPLE_ROWS]

    def _add(self, term: str, repeated: int, scores: Floats) -> None:
        """Add a term's part to the scores."""
        found: list[tuple[Part, Postings, Occurrences]] = []
        for part in self.parts:
            if part.postings is not None:
                with _damage_of(part.postings):
                    each = part.postings.occurrences(term)
                    if part.live is not None:
                        kept = part.live[each.rows]
                        each = Occurrences(each.rows[kept], each.counts[kept])
                found.append((part, part.postings, each))
        count = sum(len(each.rows) for _, _, each in found)
        weight = np.float32(repeated * log(1 + (self.documents - count + 0.5) / (count + 0.5)))
        for part, postings, each in found:
            with _damage_of(postings):
                counts = each.counts.astype(np.float32)
                counts /= counts + self._norm(part)[each.rows]
                counts *= weight
                scores[part.first : part.first + part.rows][each.rows] += counts

    def _norm(self, part: Part) -> Floats:
        """Return k1 * (1 - b + b * length / mean length) per row of a segment."""
        if part.first not in self._norms:
            assert part.postings is not None
            k1, b = self.settings.k1, self.settings.b
            lengths = part.postings.lengths.astype(np.float32)
            scaled = lengths * np.float32(k1 * b / (self.mean_length or 1)) + np.float32(k1 * (1 - b))
            self._norms[part.first] = scaled
        return self._norms[part.first]


@contextmanager
def _damage_of(postings: Postings) -> Iterator[None]:
    """Raise FormatError naming the file when the block finds numbers that point outside its arrays."""
    try:
        yield
    except (IndexError, ValueError) as error:
        where = str(postings.path)
        raise FormatError(f"is damaged: {error}", where=where, hint="embedkit index verify") from None


def _phrase_rows(postings: Postings, phrase: Sequence[str]) -> Rows:
    """Return the rows that hold the terms of a phrase one after another."""
    width = np.int64(int(postings.lengths.max()) + len(phrase) + 1)
    starts: NDArray[np.int64] | None = None
    for place, term in enumerate(phrase):
        rows, positions = postings.positions(term)
        here = rows * width + positions - place
        starts = np.unique(here) if starts is None else np.intersect1d(starts, here)
    assert starts is not None
    return np.unique(starts // width)


def best_rows(scores: Floats, k: int, allowed: Mask | None = None) -> Rows:
    """Return the rows of the `k` largest positive scores, best first, among those that are allowed; rows with
    equal scores are in row order.
    """
    if allowed is not None:
        scores = np.where(allowed, scores, np.float32(0))
    whole = len(scores) // _BLOCK * _BLOCK
    maxima = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
    least = np.float32(0)
    if len(maxima) > k:  # the k-th largest maximum is a lower bound of the k-th largest score
        least = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    rows = np.flatnonzero(scores >= least if least > 0 else scores > 0)
    return rows[np.lexsort((rows, -scores[rows]))[:k]]
