"""Scored pairs: two texts and how similar people judged them, in the usual layouts of such data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from embedkit.data.text.csv_cells import cell_rows
from embedkit.data.text.display import it_has, shown
from embedkit.data.text.field_names import usual, usual_pair
from embedkit.data.text.json_lines import Row, json_rows
from embedkit.data.text.lines import decoded
from embedkit.data.text.read_errors import readable
from embedkit.data.text.streams import Stream, open_stream
from embedkit.data.text.table_streams import require_distinct
from embedkit.errors import DataError


class Pair(NamedTuple):
    """Two texts and a score, higher for more similar texts: 0 to 5, or a label 0 or 1."""

    first: str
    second: str
    score: float


class Columns(NamedTuple):
    """The names of a pair's fields."""

    first: str
    second: str
    score: str


TEXTS = (  # in order of preference; spaces, hyphens, underscores and capitals do not count
    ("sentence1", "sentence2"), ("texta", "textb"), ("text1", "text2"), ("question1", "question2"),
    ("s1", "s2"), ("sent1", "sent2"), ("sentencea", "sentenceb"), ("anchor", "positive"),
    ("premise", "hypothesis"), ("query1", "query2"), ("first", "second"), ("a", "b"), ("q1", "q2"),
    ("abst", "keyword"),
)  # fmt: skip
SCORES = ("score", "label", "similarityscore", "similarity", "isduplicate", "relatednessscore", "goldscore")


_BARS = "||"  # between the cells of the Chinese STS-Benchmark


class Layout(NamedTuple):
    """The places of the two texts and the score in a row of cells."""

    places: Sequence[int]
    cells: int  # per row
    more: bool = False  # rows may have more cells
    header: bool = False  # the first row is a header


PLAIN = Layout((0, 1, 2), 3)
NUMBERED = Layout((1, 2, 3), 4)  # the number of the row, a, b, score, as in ATEC
STS_BENCHMARK = Layout((5, 6, 4), 7, more=True)  # genre, file, year, id, score, a, b, and sometimes a licence


def read_pairs(name: str | Path, columns: Columns | None = None) -> list[Pair]:
    """Read scored pairs from a path, a URL or `-`; `columns` names the fields when their names are not
    common.

    Supported are tab-separated files, in which a quote is an ordinary character: with a header, or without
    one as first, second, score, with the number of the row before them (ATEC), or in the seven or more
    columns of STS-Benchmark (whose `.csv` holds tabs); lines with `||` between cells; CSV; JSONL, where a
    list of keywords counts as one text; Parquet and Arrow; all of them compressed too. Raises DataError
    naming the faulty line, and when there are no pairs.

    >>> read_pairs("sts-dev.tsv")[0]
    Pair(first='A man is dancing.', second='A man dances.', score=5.0)
    """
    with open_stream(str(name)) as stream, readable(stream.name):
        pairs = [_pair(place, values) for place, values in _rows(stream, columns)]
    if not pairs:
        raise DataError("the input contains no pair", where=stream.name)
    return pairs


def _rows(stream: Stream, columns: Columns | None) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the place of each row with its two texts and score, not yet checked."""
    if stream.kind == "npy":
        raise DataError("holds npy data, not pairs", where=stream.name)
    if stream.kind in ("parquet", "arrow"):
        return _named(_table_rows(stream), columns)
    if stream.kind == "jsonl":
        return _named(json_rows(stream.file, stream.name), columns)
    _, first_line = stream.first_line()
    if b"\t" not in first_line and first_line.count(_BARS.encode()) in (2, 3):
        return _cells(_split_at_bars(stream), columns)
    return _cells(cell_rows(replace(stream, kind="tsv" if b"\t" in first_line else "csv")), columns)


def _named(rows: Iterator[tuple[str, Row]], columns: Columns | None) -> Iterator[tuple[str, Sequence[Any]]]:
    for place, row in rows:
        columns = columns or _known(list(row), place)
        if missing := [name for name in columns if name not in row]:
            raise DataError(f"has no field {missing[0]!r}", where=place, hint=it_has(list(row)))
        yield place, [row[name] for name in columns]


def _split_at_bars(stream: Stream) -> Iterator[tuple[str, list[str]]]:
    for number, line in stream.lines():
        place = f"{stream.name}:{number}"
        try:
            text = decoded(line).strip()
        except DataError as error:
            raise DataError(error.what, where=place, hint=error.hint) from None
        if text:
            yield place, text.split(_BARS)


def _cells(
    rows: Iterator[tuple[str, list[str]]], columns: Columns | None
) -> Iterator[tuple[str, Sequence[Any]]]:
    head = next(rows, None)
    if head is None:
        return
    layout = _layout(head[1], columns, place=head[0])
    for place, row in rows if layout.header else chain([head], rows):
        if len(row) < layout.cells or (len(row) > layout.cells and not layout.more):
            what = "the header has" if layout.header else "expected"
            raise DataError(f"has {len(row)} cells, {what} {layout.cells}", where=place)
        yield place, [row[cell] for cell in layout.places]


def _layout(first: list[str], columns: Columns | None, place: str) -> Layout:
    """Return the layout from the first row, which is a header unless the place of the score holds a
    number.
    """
    layout = {3: PLAIN}.get(len(first), STS_BENCHMARK if len(first) >= STS_BENCHMARK.cells else None)
    if len(first) == NUMBERED.cells and _is_number(first[0]):
        layout = NUMBERED
    if columns is None and layout is not None:
        score = first[layout.places[-1]]
        if _is_number(score):
            return layout
        if not _is_known(first):
            hint = "name the columns in a first line, such as sentence1, sentence2, score"
            raise DataError(f"has the score {shown(score)}, which is not a number", where=place, hint=hint)
    require_distinct(first, place)
    found = columns or _known(first, place)
    if missing := [name for name in found if name not in first]:
        raise DataError(f"has no column {missing[0]!r}", where=place, hint=it_has(first))
    return Layout([first.index(name) for name in found], len(first), header=True)


def _known(names: list[str], place: str) -> Columns:
    """Return the columns with common names; raises DataError when one is missing."""
    texts, score = _common(names)
    if texts is None or score is None:
        what = "two texts" if texts is None else "a score"
        hint = f"{it_has(names)}; common ones are sentence1, sentence2, score"
        raise DataError(f"has no common names for {what}", where=place, hint=hint)
    return Columns(*texts, score)


def _is_known(names: list[str]) -> bool:
    return any(_common(names))


def _common(names: list[str]) -> tuple[tuple[str, str] | None, str | None]:
    """Return the names of the two texts, and of the score; each is None without a common name."""
    return usual_pair(names, TEXTS), usual(names, SCORES)


def _table_rows(stream: Stream) -> Iterator[tuple[str, Row]]:
    rows = (row for batch in stream.table.batches for row in batch.to_pylist())
    for number, row in enumerate(rows, 1):
        yield f"{stream.name}:{number}", row


def _pair(place: str, values: Sequence[Any]) -> Pair:
    first, second, score = (_joined(value) for value in values)
    for text in (first, second):
        if not isinstance(text, str):
            raise DataError(f"has {shown(text)} where text is expected", where=place)
    if not _is_number(score):
        raise DataError(f"has the score {shown(score)}, which is not a number", where=place)
    return Pair(first, second, float(score))


def _joined(value: Any) -> Any:
    """Return a list of keywords as one text, and any other value as it is."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value


def _is_number(value: Any) -> bool:
    try:
        return value is not None and math.isfinite(float(value))
    except (ValueError, TypeError, OverflowError):
        return False
