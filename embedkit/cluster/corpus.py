"""How a corpus is cut before anything runs: a unit is the records of one shard, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CorpusSurvey:
    """What is known of one file: its records, what is passed over, and where reading can begin.

    `marks` `(places, 3)` are the records, the lines or rows, and the bytes (of parquet: the row groups) in
    front of each such place, the first of which is the file's begin.
    """

    name: str
    records: int
    blank: int
    skipped: int
    marks: NDArray[np.int64]


class Span(NamedTuple):
    """Records of one file that follow one another, read from a mark on: `skip` records, then `records`."""

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
        """Records in all spans."""
        return sum(span.records for span in self.spans)


@dataclass(frozen=True, eq=False)
class Corpus:
    """All files in order, surveyed."""

    surveys: Sequence[CorpusSurvey]

    @property
    def records(self) -> int:
        """Records of all files."""
        return sum(survey.records for survey in self.surveys)

    @property
    def blank(self) -> int:
        """Blank lines of all files."""
        return sum(survey.blank for survey in self.surveys)

    @property
    def skipped(self) -> int:
        """Records of all files that cannot be read, where those are passed over."""
        return sum(survey.skipped for survey in self.surveys)

    def units(self, rows: int) -> Iterator[Unit]:
        """Yield units of `rows` records, the last one shorter, as one process would cut them."""
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
    """Yield each file's runs of records, first and count, cut where the whole has multiples of `rows`."""
    before = 0
    for survey in surveys:
        first = 0
        while first < survey.records:
            count = min(rows - before % rows, survey.records - first)
            yield survey, first, count
            first, before = first + count, before + count


def _span(survey: CorpusSurvey, first: int, records: int) -> Span:
    """Return a span that is read from the last mark before its first record."""
    place = int(np.searchsorted(survey.marks[:, 0], first, side="right")) - 1
    before, rows_before, offset = survey.marks[place].tolist()
    return Span(survey.name, rows_before, offset, first - before, records)
