"""Runs: the documents that a search found per query, with scores, as TREC or `embedkit search` write them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from embedkit.data.text.csv_cells import cell_rows
from embedkit.data.text.display import shown
from embedkit.data.text.json_lines import json_rows
from embedkit.data.text.qrels import DOCUMENT, QUERY, field_of, put, words
from embedkit.data.text.read_errors import readable
from embedkit.data.text.streams import Stream, open_stream
from embedkit.errors import DataError

Run = dict[str, dict[str, float]]  # score per document per query

_FIELDS = (QUERY, DOCUMENT, ("score",))
_HINT = "give each query an id of its own"
_COLUMNS = 6  # query Q0 document rank score name
_PLACES = (0, 2, 4, 3)


def read_run(name: str | Path) -> Run:
    """Read a run from a path, a URL or `-`: TREC's six columns (query, Q0, document, rank, score, name), or
    the JSONL of `embedkit search -i`; both may be compressed.

    As in trec_eval, only scores count, never ranks, and blanks around ids are removed. Raises DataError
    naming the faulty line, such as one that repeats a document, returns to an earlier query, or has a score
    that is not a finite number, and when there are no hits.

    >>> read_run("run.trec")["1"]
    {'31715818': 0.71, '4983': 0.42}
    """
    run: Run = {}
    answers = _Answers()
    with open_stream(str(name)) as stream, readable(stream.name):
        for place, (query, document, score, rank, text) in _rows(stream):
            number = _score(score, place)
            answers.follow(place, put(run, place, query, document, number), rank, number, text)
    if not run:
        raise DataError("the input contains no hit", where=str(name))
    return run


class _Answers:
    """A check of a run's rows in order: the rows of a query are adjacent, and no query is answered twice.

    Two queries with the same id would count as one query with the hits of both.
    """

    def __init__(self) -> None:
        self._done: set[str] = set()
        self._query: str | None = None
        self._text: Any = None
        self._ranks: dict[Any, float] = {}

    def follow(self, place: str, query: str, rank: Any, score: float, text: Any) -> None:
        """Check the next row; raises DataError for a query that returns, changes its text or repeats a
        rank.
        """
        if query != self._query:
            if query in self._done:
                hint = f"{_HINT}; keep the rows of a query together"
                raise DataError(f"has query {shown(query)} again", where=place, hint=hint)
            self._done.add(query)
            self._query, self._text, self._ranks = query, None, {}
        self._text = text if self._text is None else self._text
        first = self._ranks.setdefault(rank, score)
        if text is not None and text != self._text:
            raise DataError(f"has another text for query {shown(query)}", where=place, hint=_HINT)
        if len(self._ranks) > 1 and first != score:  # equal ranks contain no information
            raise DataError(f"has rank {rank} of query {shown(query)} again", where=place, hint=_HINT)


def _rows(stream: Stream) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield the place of each row, its query, document and score, not yet checked, and its rank and query
    text, which is None when the row has no text.
    """
    if stream.kind == "jsonl":
        for place, fields in json_rows(stream.file, stream.name):
            ids_and_score = [fields[field_of(known, fields, place)] for known in _FIELDS]
            yield place, [*ids_and_score, str(fields.get("rank")), fields.get("query")]
        return
    if stream.kind not in ("text", "tsv"):
        raise DataError(f"holds {stream.kind} data, not a run", where=stream.name)
    for place, row in words(cell_rows(stream)):
        if len(row) != _COLUMNS:
            hint = "write query, Q0, document, rank, score, name; an id is a single word"
            raise DataError(f"has {len(row)} columns, expected {_COLUMNS}", where=place, hint=hint)
        yield place, [*(row[column] for column in _PLACES), None]


def _score(value: Any, place: str) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"has the score {shown(value)}, which is not a finite number", where=place)
    return score
