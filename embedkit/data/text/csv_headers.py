"""Checks that the first row of CSV or TSV names the columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice, zip_longest

from embedkit.data.text.csv_cells import cells_ahead
from embedkit.data.text.streams import Stream
from embedkit.errors import DataError

_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")  # characters that end a sentence


def require_header(stream: Stream) -> None:
    """Raise DataError when the first row of CSV or TSV seems to be data, or CSV seems to have another
    separator.

    The row seems to be data when it names no `text` and no id, and one of several cells is a number, or a
    cell is a sentence about as long as the texts of its column in the next rows.
    """
    cells = cells_ahead(stream)
    rows = ((place, row) for place, row in cells if isinstance(row, list) and any(row))
    place, header = next(rows, ("", []))
    if {"text", "_id", "id"}.intersection(header):
        return
    others = [row for _, row in islice(rows, 8)]
    if stream.kind == "csv" and (separator := _other_separator([header, *others])):
        hint = "set `input_format=tsv`" if separator == "\t" else "write it with commas"
        raise DataError(f"seems to be separated by {separator!r}, expected commas", where=place, hint=hint)
    columns = list(zip_longest(*others, fillvalue=""))
    numbers = [cell for cell in header if len(header) > 1 and _is_number(cell)]
    texts = [cell for cell, column in zip(header, columns, strict=False) if _is_like(cell, column)]
    for cell in [*texts, *numbers]:
        what = f"the first line must name the columns, and {cell!r:.60} seems to be data"
        hint = "put a line of names such as text in front; if it is a name, set it as `text_field`"
        raise DataError(what, where=place, hint=hint)


def _other_separator(rows: list[list[str]]) -> str | None:
    """Return the separator that occurs equally often in all rows, each of one cell; None when no separator
    does.
    """
    for separator in "\t;|":
        counts = {row[0].count(separator) for row in rows if len(row) == 1}
        if len(rows) > 1 and all(len(row) == 1 for row in rows) and len(counts) == 1 and counts != {0}:
            return separator
    return None


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        return math.isfinite(float(cell))
    return False


def _is_like(cell: str, texts: Iterable[str]) -> bool:
    """Return whether a cell is a sentence, at least half as long as the median of some texts."""
    lengths = sorted(map(len, filter(None, texts)))
    is_sentence = cell.count(" ") >= 3 or cell.endswith(_ENDS) or re.search("[\u2e80-\uffff]{8}", cell)
    return bool(lengths and is_sentence) and 2 * len(cell) >= lengths[len(lengths) // 2]
