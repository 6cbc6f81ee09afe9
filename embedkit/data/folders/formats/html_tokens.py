"""Tokens of HTML: tags and text, in time that grows with the length of a page however damaged it is.

The parser of the standard library takes quadratic time on some damaged pages, hours for a megabyte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*)")
_END_OR_VALUE = re.compile(r""">|=\s*["']""")
_RAW = frozenset({"script", "style", "title", "textarea"})  # elements whose content has no tags


class Token(NamedTuple):
    """A tag by its name in small letters, or a part of the text with its character references."""

    kind: Literal["start", "end", "empty", "text"]
    value: str
    place: int  # where it begins in the page


def tokens(page: str) -> Iterator[Token]:
    """Yield the tags and texts of a page, in order; comments and declarations are left out.

    The content of scripts and styles is one text. What is never closed reaches to the end of the page (WHATWG
    HTML, section 13.2.5).
    """
    marks = _Marks(page)
    place = 0
    while (start := page.find("<", place)) >= 0:
        if start > place:
            yield Token("text", page[place:start], place)
        name = _NAME.match(page, start)
        if name is None:
            place = _behind_other(page, start, marks)
            if place == start + 1:
                yield Token("text", "<", start)
            continue
        place = _behind_tag(page, name.end(), marks)
        tag, closes = name[1].lower(), page[start + 1] == "/"
        yield Token("end" if closes else "empty" if page[place - 2] == "/" else "start", tag, start)
        if tag in _RAW and not closes:
            found = _closing(tag).search(page, place)
            end = found.start() if found else len(page)
            yield Token("text", page[place:end], place)
            place = end
    if place < len(page):
        yield Token("text", page[place:], place)


class _Marks:
    """Where the last of each mark is, so that one that is missing is never searched for twice."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._last = {mark: page.rfind(mark) for mark in (">", '"', "'", "-->")}

    def find(self, mark: str, start: int) -> int | None:
        """Return the next place of a mark, or None."""
        return self._page.find(mark, start) if self._last[mark] >= start else None


def _behind_other(page: str, start: int, marks: _Marks) -> int:
    """Return the place behind a comment or declaration; behind the `<` if it is neither."""
    if page.startswith("<!--", start):
        end = marks.find("-->", start + 2)
        return len(page) if end is None else max(end + 3, start + 4)
    if page.startswith(("<!", "<?", "</"), start):
        end = marks.find(">", start)
        return len(page) if end is None else end + 1
    return start + 1


def _behind_tag(page: str, place: int, marks: _Marks) -> int:
    """Return the place behind a tag, whose values may contain `>`."""
    while (
        found := _END_OR_VALUE.search(page, place) if marks.find(">", place) is not None else None
    ) is not None:
        if found[0] == ">":
            return found.end()
        closing = marks.find(found[0][-1], found.end())
        place = found.end() if closing is None else closing + 1
    return len(page)


@cache
def _closing(tag: str) -> re.Pattern[str]:
    return re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE)
