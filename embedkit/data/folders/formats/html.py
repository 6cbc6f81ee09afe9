"""HTML: its visible text, with the line of the file for each line of the text."""

from __future__ import annotations

import re
from html import unescape

import numpy as np

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.formats.html_tokens import tokens
from embedkit.data.folders.places import PROSE

_HIDDEN = frozenset({"script", "style", "template", "svg"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_APART = _HEADINGS | {  # with a blank line around them
    "p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "table", "ul", "ol", "dl",
    "pre", "blockquote", "figure", "form", "hr", "body", "details",
}  # fmt: skip
_LINES = frozenset({"li", "tr", "br", "dt", "dd", "option", "figcaption", "caption", "summary"})
_CELLS = frozenset({"td", "th"})


def read_html(text: str) -> Document:
    """Return the document of a page: its title, headings and text; scripts and styles are left out."""
    page = _Page()
    line, before = 1, 0
    for kind, value, place in tokens(text):
        line, before = line + text.count("\n", before, place), place
        if kind == "text":
            page.add(value, line)
        elif kind == "end":
            page.end(value)
        else:
            page.start(value, line, empty=kind == "empty")
    return page.document()


class _Page:
    """The visible text of a page, line by line; a line of the text has words of one line of the file."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []  # the line of the file, and the text
        self._parts: list[str] = []  # of the line under way
        self._line = 1
        self._hidden = self._preformatted = 0
        self._title: list[str] | None = None  # parts of the title, while and after it is read
        self._in_title = False
        self._headings: list[tuple[int, int, list[str]]] = []  # line of the text, level, parts of the title
        self._heading: list[str] | None = None

    def start(self, tag: str, line: int, *, empty: bool) -> None:
        """Begin a block, a heading, or a part that is not shown."""
        self._hidden += tag in _HIDDEN and not empty
        if tag == "title" and not self._hidden:
            self._in_title, self._title = True, self._title or []
        self._break(tag, line)
        self._preformatted += tag == "pre"
        if tag in _HEADINGS:
            self._heading = []
            self._headings.append((len(self._lines), int(tag[1]), self._heading))

    def end(self, tag: str) -> None:
        """End a block, a heading, or a part that is not shown."""
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self._preformatted = max(0, self._preformatted - (tag == "pre"))
        if tag == "title":
            self._in_title = False
        if tag in _HEADINGS:
            self._heading = None
        self._break(tag, self._line)

    def add(self, data: str, line: int) -> None:
        """Add text, of which each line of the file begins a new line."""
        if self._hidden:
            return
        if self._in_title and self._title is not None:
            self._title.append(unescape(data))
            return
        if self._heading is not None:
            self._heading.append(unescape(data))
        for number, part in enumerate(data.split("\n"), line):
            if number > line:
                self._end_line()
            self._add(unescape(part), number)

    def document(self) -> Document:
        """Return what was read."""
        self._end_line()
        text = "\n".join(line for _, line in self._lines)
        starts = np.cumsum([0, *(len(line) + 1 for _, line in self._lines)]).tolist()
        headings = [Heading(starts[at], level, _joined(parts)) for at, level, parts in self._headings]
        lines = np.array([line for line, _ in self._lines], dtype=np.int64)
        title = _joined(self._title) if self._title else None
        return Document(text, PROSE, headings, title or None, lines)

    def _add(self, part: str, line: int) -> None:
        if not self._parts:
            self._line = line
        self._parts.append(part)

    def _break(self, tag: str, line: int) -> None:
        if tag in _APART or tag in _LINES:
            self._end_line()
            if tag in _APART and self._lines and self._lines[-1][1]:
                self._lines.append((self._lines[-1][0], ""))
        elif tag in _CELLS:
            self._add(" ", line)

    def _end_line(self) -> None:
        whole = "".join(self._parts)
        shown = whole.replace("\n", " ").rstrip() if self._preformatted else _joined([whole])
        if shown or (self._preformatted and self._parts):
            self._lines.append((self._line, shown))
        self._parts = []


def _joined(parts: list[str]) -> str:
    return re.sub(r"\s+", " ", "".join(parts)).strip()
