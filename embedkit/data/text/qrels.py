"""Qrels: which documents are relevant to a query, and how much, in the layouts of TREC and BEIR."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from embedkit.data.text.csv_cells import cell_rows
from embedkit.data.text.display import it_has, shown
from embedkit.data.text.field_names import plain, usual
from embedkit.data.text.json_lines import json_rows
from embedkit.data.text.read_errors import readable
from embedkit.data.text.streams import Stream, open_stream
from embedkit.data.text.table_streams import require_distinct
from embedkit.errors import DataError

Qrels = dict[str, dict[str, int]]  # grade per document per query

GRADES = range(-1000, 1001)  # allowed grades; an evaluation holds a number per grade up to the highest
QUERY = ("query-id", "qid", "topic")
DOCUMENT = ("corpus-id", "document-id", "docid", "docno", "passageid", "id")
_GRADE = ("score", "relevance", "grade", "rel", "label")
_FIELDS = (QUERY, DOCUMENT, _GRADE)
_PLACES = {3: (0, 1, 2), 4: (0, 2, 3)}  # query, document and grade, by cells per row; four are TREC's


class Judgement(NamedTuple):
    """A grade of a document for a query, and the place of the row that has it, for messages."""

    place: str
    query: str
    document: str
    grade: int


def read_qrels(name: str | Path) -> Qrels:
    """Read qrels from a path, a URL or `-`: a grade of 1 or more is relevant, and a higher grade is better.

    Supported are TREC's four columns (query, 0, document, grade), three columns without the second, BEIR's
    tab-separated files with a header (query-id, corpus-id, score), and JSONL of such fields; all of them
    compressed too. Blanks around ids are removed. Raises DataError naming the faulty line, such as one that
    judges a document again, and when there are no judgements.

    >>> read_qrels("qrels.tsv")["1"]
    {'31715818': 1}
    """
    qrels: Qrels = {}
    for place, query, document, grade in judgements(name):
        put(qrels, place, query, document, grade)
    return qrels


def judgements(name: str | Path) -> Iterator[Judgement]:
    """Yield the judgements of qrels one by one; like `read_qrels`, except that a document which is judged
    again is left to the caller to refuse (`judged_again`).
    """
    found = False
    with open_stream(str(name)) as stream, readable(stream.name):
        for place, (query, document, grade) in _rows(stream):
            found = True
            ids = _identifier(query, place), _identifier(document, place)
            yield Judgement(place, *ids, _grade(grade, place))
    if not found:
        raise DataError("the input contains no judgement", where=str(name))


def put(values: dict[str, dict[str, Any]], place: str, query: Any, document: Any, value: float) -> str:
    """Store a document's value for a query and return the query's id; raises DataError for an invalid id and
    for a second value.
    """
    query_id, document = _identifier(query, place), _identifier(document, place)
    documents = values.setdefault(query_id, {})
    if document in documents:
        raise judged_again(place, query_id, document)
    documents[document] = value
    return query_id


def judged_again(place: str, query: str, document: str) -> DataError:
    """Return the error of a document that has a second value for a query."""
    return DataError(f"has document {shown(document)} for query {shown(query)} again", where=place)


def field_of(known: Sequence[str], given: Iterable[str], place: str) -> str:
    """Return the given name that matches the earliest known name; raises DataError when none matches.

    Capitals, spaces, hyphens and underscores are ignored.
    """
    given = list(given)
    if (name := usual(given, map(plain, known))) is None:
        raise DataError(f"has no field such as {known[0]}", where=place, hint=it_has(given))
    return name


def words(rows: Iterable[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the words of each row of cells; blank rows are skipped."""
    for place, cells in rows:
        if row := [word for cell in cells for word in cell.split()]:
            yield place, row


def _rows(stream: Stream) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield the place of each row with its query, document and grade, not yet checked."""
    if stream.kind == "jsonl":
        for place, row in json_rows(stream.file, stream.name):
            yield place, [row[field_of(known, row, place)] for known in _FIELDS]
        return
    if stream.kind not in ("text", "tsv"):
        raise DataError(f"holds {stream.kind} data, not judgements", where=stream.name)
    yield from _cells(stream)


def _cells(stream: Stream) -> Iterator[tuple[str, Sequence[str]]]:
    rows = _split(cell_rows(stream))
    first = next(rows, None)
    if first is None:
        return
    place, cells = first
    header = len(cells) > 2 and not any(map(_is_number, cells))
    places = _header(cells, place) if header else _PLACES.get(len(cells), ())
    if not places:
        what = f"has {len(cells)} columns, expected three or four"
        raise DataError(what, where=place, hint="write query, document, grade; TREC has a 0 after the query")
    for place, row in rows if header else chain([first], rows):
        if len(row) != len(cells):
            raise DataError(f"has {len(row)} columns, the first line {len(cells)}", where=place)
        yield place, [row[cell] for cell in places]


def _split(rows: Iterable[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the cells between tabs when a row has three or more, since ids may have several words; otherwise
    yield words.
    """
    for place, cells in rows:
        yield from [(place, cells)] if len(cells) > 2 else words([(place, cells)])


def _header(cells: list[str], place: str) -> tuple[int, ...]:
    require_distinct(cells, place)
    return tuple(cells.index(field_of(known, cells, place)) for known in _FIELDS)


def _is_number(value: Any) -> bool:
    with suppress(ValueError, TypeError, OverflowError):
        return not isinstance(value, bool) and math.isfinite(float(value))
    return False


def _grade(value: Any, place: str) -> int:
    if not _is_number(value) or float(value) not in GRADES:
        what = f"has the grade {shown(value)}, expected a whole number from {GRADES[0]} to {GRADES[-1]}"
        raise DataError(what, where=place)
    return int(float(value))


def _identifier(value: object, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not compared(value):
        raise DataError(f"has {shown(value)} where an id is expected", where=place)
    return compared(value)


def compared(value: str | int) -> str:
    """Return an id as it is compared with others: as text, without blanks around it."""
    return str(value).strip()
