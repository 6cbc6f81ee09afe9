"""Runs in: the documents that a search found for each query, with scores, as TREC or `embedkit search` write
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from embedkit.data.pairs import shown
from embedkit.data.qrels import DOCUMENT, QUERY, field_of, put, words
from embedkit.data.rows import cell_rows, json_rows
from embedkit.data.streams import Stream, open_stream, readable
from embedkit.errors import DataError

Run = dict[str, dict[str, float]]  # scores by document by query

_FIELDS = (QUERY, DOCUMENT, ("score",))
_COLUMNS = 6  # query Q0 document rank score name
_PLACES = (0, 2, 4)


def read_run(name: str | Path) -> Run:
    """Read a run from a path, a URL or `-`: TREC's six columns (query, Q0, document, rank, score, name), or
    the JSONL of `embedkit search -i`; compressed too.

    As for trec_eval only scores count, never ranks. Raises DataError naming the line at fault, such as one
    with a document again or a score that is not a finite number, and when there is none.

    >>> read_run("run.trec")["1"]
    {'31715818': 0.71, '4983': 0.42}
    """
    run: Run = {}
    with open_stream(str(name)) as stream, readable(stream.name):
        for place, (query, document, score) in _rows(stream):
            put(run, place, query, document, _score(score, place))
    if not run:
        raise DataError("there is no hit in the input", where=str(name))
    return run


def _rows(stream: Stream) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the place of each row, and its query, document and score as they stand there."""
    if stream.kind == "jsonl":
        for place, fields in json_rows(stream.file, stream.name):
            yield place, [fields[field_of(known, fields, place)] for known in _FIELDS]
        return
    if stream.kind not in ("text", "tsv"):
        raise DataError(f"holds {stream.kind} data, not a run", where=stream.name)
    for place, row in words(cell_rows(stream)):
        if len(row) != _COLUMNS:
            hint = "query, Q0, document, rank, score, name; ids are single words"
            raise DataError(f"has {len(row)} columns, a run has {_COLUMNS}", where=place, hint=hint)
        yield place, [row[column] for column in _PLACES]


def _score(value: Any, place: str) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"has the score {shown(value)}, which is not a finite number", where=place)
    return score
