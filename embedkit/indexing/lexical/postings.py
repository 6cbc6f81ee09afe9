"""The postings of a segment: which documents hold a term, how often and where; one file, never changed.

The file is a safetensors file of flat arrays. Terms are sorted by their bytes; the postings of a term are
sorted by row:

  terms, term_ends              the terms as UTF-8, and where each ends
  rows, counts, posting_ends    per posting: the row, and how often the term occurs in it; per term: where its
                                postings end
  positions, position_ends      per occurrence: its position in the document; per term: where these end
  lengths                       per row: its number of terms
  sample_rows, sample_keys      rows drawn from the segment, with the random keys by which they were drawn
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from embedkit.data.arrays import Array
from embedkit.errors import FormatError
from embedkit.indexing.kind import Rows
from embedkit.indexing.lexical.analysis import is_unspaced
from embedkit.indexing.lexical.tensor_file import open_tensors

POSTINGS = "lexical.safetensors"
SAMPLE_ROWS = 2048  # rows drawn, on which the spread of a query's similarities is estimated
FORMAT, VERSION = "embedkit-postings", "1"
ARRAYS = {
    "terms", "term_ends", "rows", "counts", "posting_ends", "positions", "position_ends", "lengths",
    "sample_rows", "sample_keys",
}  # fmt: skip


class Occurrences(NamedTuple):
    """The documents of a segment that hold a term: rows in ascending order, and counts in each."""

    rows: Array
    counts: Array


class Terms(Sequence[bytes]):
    """The sorted terms of a segment, as UTF-8."""

    def __init__(self, content: Array, ends: Array) -> None:
        self._content, self._ends = content, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        assert isinstance(place, int)
        start = int(self._ends[place - 1]) if place else 0
        return self._content[start : int(self._ends[place])].tobytes()


@dataclass(frozen=True)
class Postings:
    """An opened postings file."""

    path: Path
    arrays: dict[str, Array]

    @classmethod
    def open(cls, folder: Path, rows: int) -> Postings:
        """Map the postings of the segment in `folder`; raises FormatError when the file is damaged, of
        another version, or does not hold `rows` rows.
        """
        path = folder / POSTINGS
        metadata, arrays = open_tensors(path)
        found = metadata.get("format"), metadata.get("version")
        if found != (FORMAT, VERSION):
            what = f"is {found[0]} of version {found[1]}, expected {FORMAT} of version {VERSION}"
            raise FormatError(what, where=str(path))
        if arrays.keys() != ARRAYS:
            raise FormatError(f"has the arrays {', '.join(arrays)}, expected others", where=str(path))
        if len(arrays["lengths"]) != rows:
            raise FormatError(f"has {len(arrays['lengths'])} rows, expected {rows}", where=str(path))
        return cls(path, arrays)

    @property
    def terms(self) -> Terms:
        """Return the terms, sorted."""
        return Terms(self.arrays["terms"], self.arrays["term_ends"])

    @property
    def lengths(self) -> Array:
        """Return the number of terms per row."""
        return self.arrays["lengths"]

    def places(self, term: str) -> range:
        """Return the places of a query's term among the sorted terms; a single character of a script without
        spaces stands for all pairs that begin with it.
        """
        key, terms = term.encode(), self.terms
        first = bisect_left(terms, key)
        if len(term) == 1 and is_unspaced(term):
            return range(first, bisect_left(terms, key + b"\xff", first))
        return range(first, first + (first < len(terms) and terms[first] == key))

    def occurrences(self, term: str) -> Occurrences:
        """Return the documents that hold a query's term."""
        places = self.places(term)
        if not places:
            return Occurrences(np.empty(0, np.uint32), np.empty(0, np.uint32))
        span = self._span("posting_ends", places)
        rows, counts = self.arrays["rows"][span], self.arrays["counts"][span]
        if len(places) == 1:
            return Occurrences(rows, counts)
        distinct, inverse = np.unique(rows, return_inverse=True)
        return Occurrences(distinct, np.bincount(inverse, counts).astype(np.uint32))

    def positions(self, term: str) -> tuple[Rows, Rows]:
        """Return the row and the position of each occurrence of a query's term."""
        rows, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for place in self.places(term):
            span = self._span("posting_ends", range(place, place + 1))
            counts = self.arrays["counts"][span]
            positions = self.arrays["positions"][self._span("position_ends", range(place, place + 1))]
            if counts.sum(dtype=np.int64) != len(positions):  # before memory is allocated for them
                raise ValueError("the counts of a term differ from its positions")
            rows.append(np.repeat(self.arrays["rows"][span].astype(np.int64), counts))
            places.append(positions.astype(np.int64))
        return np.concatenate(rows), np.concatenate(places)

    def _span(self, ends: str, places: range) -> slice:
        first = int(self.arrays[ends][places.start - 1]) if places.start else 0
        return slice(first, int(self.arrays[ends][places.stop - 1]))
