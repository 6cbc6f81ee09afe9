"""Cut a corpus into units before work starts: a unit is the records of one shard, across files if needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CorpusSurvey:
    """The survey of one file: its records, its blank and skipped ones, and where reading can start.

    `marks` `(places, 3)` counts the records, the lines or rows, and the bytes (in parquet: the row groups)
    before each place where reading can start; the first place is the start of the file.
    """

    name: str
    records: int
    blank: int
    skipped: int
    marks: NDArray[np.int64]


class Span(NamedTuple):
    """Consecutive records of one file: reading starts at a mark, skips `skip` records and keeps `records`."""

    name: str
    rows_before: int
    offset: int
    skip: int
    records: int


class Unit(NamedTuple):
    """The records of the shard at `place`, in order."""

    place: int
    spans: tuple[Span, ...]

    @property
    def rows(self) -> int:
        """Count the records in all spans."""
        return sum(span.records for span in self.spans)


@dataclass(frozen=True, eq=False)
class Corpus:
    """The surveys of all files, in order."""

    surveys: Sequence[CorpusSurvey]

    @property
    def records(self) -> int:
        """Count the records of all files."""
        return sum(survey.records for survey in self.surveys)

    @property
    def blank(self) -> int:
        """Count the blank lines of all files."""
        return sum(survey.blank for survey in self.surveys)

    @property
    def skipped(self) -> int:
        """Count the unreadable records of all files, if those are skipped."""
        return sum(survey.skipped for survey in self.surveys)

    def units(self, rows: int) -> Iterator[Unit]:
        """Yield units of `rows` records (the last may be shorter), cut as a single process cuts them."""
        spans: list[Span] = []
        room, place = rows, 0
        for survey, first, count in _runs(self.surveys, rows):
            spans.append(_span(survey, first, count))
            room -= count
            if not room:
                yield Unit(place, tuple(spans))
                spans, room, place = [], rows, place + 1
        if spans:
            yield Unit(place, tuple(spans))


def _runs(surveys: Iterable[CorpusSurvey], rows: int) -> Iterator[tuple[CorpusSurvey, int, int]]:
    """Yield each file's runs of records (first, count), cut at multiples of `rows` in the whole corpus."""
    before = 0
    for survey in surveys:
        first = 0
        while first < survey.records:
            count = min(rows - before % rows, survey.records - first)
            yield survey, first, count
            first, before = first + count, before + count


def _span(survey: CorpusSurvey, first: int, records: int) -> Span:
    """Return a span of records, read from the last mark at or before its first record."""
    place = int(np.searchsorted(survey.marks[:, 0], first, side="right")) - 1
    before, rows_before, offset = survey.marks[place].tolist()
    return Span(survey.name, rows_before, offset, first - before, records)
