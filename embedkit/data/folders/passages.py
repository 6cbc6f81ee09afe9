"""Passages: the spans of a document as records, with their places in the file and the headings above them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.splitting import Span, spans
from embedkit.data.folders.token_places import TokenPlaces
from embedkit.data.text.record import Record

PATH, LINE, LAST_LINE, HEADINGS, PAGE = "path", "line", "line_to", "headings", "page"
BETWEEN = " > "  # the headings of a trail
_LONGEST = 100  # characters of a heading
_WRITTEN = re.compile(r"[^\W_]")  # a letter or a digit
_BLANK_START = re.compile(r"(?:[ \t\f\v]*\n)*")


def passages(
    document: Document, path: str, settings: FolderSettings, token_places: TokenPlaces
) -> Iterator[Record]:
    """Yield the passages of a document as records; parts without a letter or digit are left out.

    The id is `path:line`, or `path:line:column` where a passage begins within a line or is not its first; the
    column counts the characters that the text has of the line of the file. The text is a part of the document
    without blank lines around it. The fields are the path, the first and the last line in the file, the trail
    of headings, and the page where the document has pages.
    """
    trails = _Trails(document)
    starts = np.flatnonzero(np.frombuffer(document.text.encode("utf-32-le", "replace"), "<u4") == ord("\n"))
    starts = np.concatenate([[0], starts + 1])
    before = 0  # the line at which the last passage begins
    for span in spans(document, settings.chunk, settings.overlap, token_places):
        start, end = _trimmed(document.text, span)
        if not _WRITTEN.search(document.text, start, end):
            continue
        first, last = (np.searchsorted(starts, [start, end - 1], side="right") - 1).tolist()
        line, line_to = _line(document.lines, first), _line(document.lines, last)
        if document.lines is not None:  # several lines of the text may stand in one line of the file
            first = int(np.searchsorted(document.lines, line))
        column = start - int(starts[first])
        within = column > 0 and (before == line or document.text[start - column : start].strip())
        before = line
        trail = trails.of(start, end)
        fields = {PATH: path, LINE: line, LAST_LINE: line_to, HEADINGS: trail or None}
        if document.pages:
            fields[PAGE] = bisect_right(document.pages, start)
        id = f"{path}:{line}:{column + 1}" if within else f"{path}:{line}"
        yield Record(id, document.text[start:end], fields, trail if settings.headings else "")


class _Trails:
    """The trails of headings of a document."""

    def __init__(self, document: Document) -> None:
        self._headings, self._title = document.headings, document.title
        self._places = [heading.place for heading in document.headings]
        self._parents = _parents(document.headings)

    def of(self, start: int, end: int) -> str:
        """Return the headings that a part of the text lies under, from the title on; only those under which
        all of it lies.
        """
        first, last = bisect_right(self._places, start), bisect_right(self._places, end - 1)
        least = min((heading.level for heading in self._headings[first:last]), default=99)
        trail = [heading.title for heading in self._around(first) if heading.level < least]
        if self._title and self._title not in trail[:1]:
            trail.insert(0, self._title)
        return BETWEEN.join(" ".join(title.split())[:_LONGEST] for title in trail if title)

    def _around(self, number: int) -> list[Heading]:
        """Return the headings of the sections around the place behind the first `number` headings."""
        around: list[Heading] = []
        place = number - 1
        while place >= 0:
            around.append(self._headings[place])
            place = self._parents[place]
        return around[::-1]


def _parents(headings: Sequence[Heading]) -> list[int]:
    """Return the number of the heading above each heading, -1 for those at the top."""
    parents: list[int] = []
    around: list[int] = []
    for number, heading in enumerate(headings):
        while around and headings[around[-1]].level >= heading.level:
            around.pop()
        parents.append(around[-1] if around else -1)
        around.append(number)
    return parents


def _trimmed(text: str, span: Span) -> Span:
    """Return a span without blank lines at its start and white space at its end."""
    blank = _BLANK_START.match(text, *span)
    start = blank.end() if blank else span.start
    return Span(start, start + len(text[start : span.end].rstrip()))


def _line(lines: NDArray[np.int64] | None, number: int) -> int:
    """Return the line of the file, from 1 on, for a line of the text, from 0 on."""
    return number + 1 if lines is None else int(lines[number])
