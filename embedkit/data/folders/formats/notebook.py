"""Jupyter notebooks: the text and code of their cells, and the headings of the text; outputs are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.formats.markdown import read_markdown
from embedkit.data.folders.places import PROSE
from embedkit.errors import DataError

_SOURCES = ("source", "input")  # of a cell; `input` held the code before version 4 of the format
_QUOTE = re.compile(r'(?<!\\)\\*"')  # of odd length unless a backslash escapes the quote
_COLON = re.compile(r"\s*:")


class _Line(NamedTuple):
    """A line of a cell, and the line of the file in which it stands."""

    text: str
    number: int


def read_notebook(text: str) -> Document:
    """Return the document of a notebook in JSON (nbformat 3 and 4): its cells, with blank lines between them.

    A source is a list of lines, or one string, whose lines all stand in one line of the file. Raises
    DataError when it is damaged.
    """
    lines: list[_Line] = []
    headings: list[Heading] = []
    place = 0
    for kind, cell in _cells(text):
        source = "\n".join(line.text for line in cell)
        if kind == "markdown":
            headings += (each._replace(place=each.place + place) for each in read_markdown(source).headings)
        lines += [*cell, _Line("", cell[-1].number)]
        place += len(source) + 2
    numbers = np.array([line.number for line in lines[:-1]], np.int64)
    return Document("\n".join(line.text for line in lines[:-1]), PROSE, headings, lines=numbers)


def _cells(text: str) -> Iterator[tuple[str, list[_Line]]]:
    """Yield the kind and the lines of each cell that is not empty, without blank lines around them."""
    try:
        orjson.loads(text)  # so that errors name places of the file
        notebook = orjson.loads(_numbered(text))
        sheets = notebook.get("worksheets", [notebook])
        cells: list[dict[str, Any]] = [cell for sheet in sheets for cell in sheet["cells"]]
        sources = [next(cell[name] for name in _SOURCES if name in cell) for cell in cells]
        kinds = [cell["cell_type"].partition(" ")[2] for cell in cells]
        parts = [[source] if isinstance(source, str) else source for source in sources]
        pairs = [(kind, _lines(strings)) for kind, strings in zip(kinds, parts, strict=True)]
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not a Jupyter notebook: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise DataError("is not a Jupyter notebook: it has no list of cells with their source") from None
    yield from (pair for pair in pairs if any(line.text.strip() for line in pair[1]))


def _numbered(text: str) -> str:
    """Return a JSON text in which each string, unless it is a key, begins with its line and a space."""
    parts: list[str] = []
    copied, line = 0, 1
    quotes = (quote.end() for quote in _QUOTE.finditer(text) if len(quote[0]) % 2)
    for start, end in zip(quotes, quotes, strict=True):
        if not _COLON.match(text, end):
            line += text.count("\n", copied, start)
            parts += text[copied:start], f"{line} "
            copied = start
    return "".join([*parts, text[copied:]])


def _lines(strings: list[str]) -> list[_Line]:
    """Return the lines of numbered strings, of which each begins a line."""
    lines: list[_Line] = []
    for string in strings:
        number, _, text = string.partition(" ")
        text = text.replace("\0", "").removesuffix("\n")
        lines += (_Line(line, int(number)) for line in text.split("\n"))
    while lines and not lines[0].text:
        lines.pop(0)
    while lines and not lines[-1].text:
        lines.pop()
    return lines
