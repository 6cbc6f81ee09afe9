"""Jupyter notebooks: the text and code of their cells, and the headings of the text; outputs are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.formats.markdown import read_markdown
from embedkit.data.folders.places import PROSE
from embedkit.errors import DataError

_BETWEEN = "\n\n"  # of two cells
_SOURCES = ("source", "input")  # of a cell; `input` held the code before version 4 of the format


def read_notebook(text: str) -> Document:
    """Return the document of a notebook in JSON (nbformat 3 and 4): its cells, with blank lines between them.

    Raises DataError when it is damaged.
    """
    parts: list[str] = []
    headings: list[Heading] = []
    place = 0
    for kind, source in _cells(text):
        if kind == "markdown":
            headings += (each._replace(place=each.place + place) for each in read_markdown(source).headings)
        parts.append(source)
        place += len(source) + len(_BETWEEN)
    return Document(_BETWEEN.join(parts), PROSE, headings)


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the source of each cell that is not empty."""
    try:
        notebook = orjson.loads(text)
        sheets = notebook.get("worksheets", [notebook])
        cells: list[dict[str, Any]] = [cell for sheet in sheets for cell in sheet["cells"]]
        sources = [next(cell[name] for name in _SOURCES if name in cell) for cell in cells]
        joined = ["".join(source).replace("\0", "").strip("\n") for source in sources]
        kinds = [str(cell["cell_type"]) for cell in cells]
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not a Jupyter notebook: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise DataError("is not a Jupyter notebook: it has no list of cells with their source") from None
    yield from (pair for pair in zip(kinds, joined, strict=True) if pair[1].strip())
