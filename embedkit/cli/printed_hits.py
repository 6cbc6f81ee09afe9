"""Write hits to standard output: a table for people; JSONL, TSV, TREC runs and bare ids for pipes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from typing import IO, TYPE_CHECKING, NamedTuple

import orjson

from embedkit.data.text.display import printable
from embedkit.data.text.line_ids import require_line, require_word

if TYPE_CHECKING:
    from embedkit.indexing.hits import Hit
    from embedkit.indexing.lexical.analysis import Analysis

RUN_NAME = "embedkit"
_ID_WIDTH = 40  # cells of an id in a table; longer ids are cut, except places in files
_LEAST_TEXT = 10  # cells of a text in a table
_LINES = 200  # of a text that are searched for the words of the query


class Answer(NamedTuple):
    """A query with its id, and its hits, best first."""

    query_id: str
    query: str
    hits: list[Hit]
    terms: Collection[str] = ()  # of the query, to be marked in a table


def write_hits(
    answers: Iterable[Answer], format: str, *, named: bool, analysis: Analysis | None = None
) -> None:
    """Write each answer as soon as it is ready; `named` means that the queries have their own ids.

    With an `analysis`, a table shows in bold the words that match terms of the query.
    """
    if format == "table":
        for answer in answers:
            _table(answer, analysis)
        return
    lines: dict[str, Callable[[Answer, Hit, bool], bytes]] = {
        "jsonl": _jsonl, "tsv": _tsv, "trec": _trec, "ids": _ids,
    }  # fmt: skip
    out: IO[bytes] = sys.stdout.buffer
    for answer in answers:
        out.write(b"".join([lines[format](answer, hit, named) for hit in answer.hits]))
        out.flush()


def _jsonl(answer: Answer, hit: Hit, named: bool) -> bytes:
    from embedkit.indexing.hits import hit_values

    line: dict[str, object] = {"query": answer.query}
    if named:
        line["query_id"] = answer.query_id
    line |= hit_values(hit, set(line))
    return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _tsv(answer: Answer, hit: Hit, named: bool) -> bytes:
    cells = [
        require_line(answer.query_id, format="TSV"),
        str(hit.rank),
        require_line(hit.document["id"], format="TSV"),
        f"{hit.score:.6f}",
        " ".join((hit.document.get("text") or "").split()),
    ]
    return ("\t".join(cells) + "\n").encode()


def _trec(answer: Answer, hit: Hit, named: bool) -> bytes:
    query, document = (require_word(id, format="a TREC run") for id in (answer.query_id, hit.document["id"]))
    return f"{query} Q0 {document} {hit.rank} {hit.score:.9g} {RUN_NAME}\n".encode()


def _ids(answer: Answer, hit: Hit, named: bool) -> bytes:
    return f"{require_line(hit.document['id'], format='a line')}\n".encode()


def _table(answer: Answer, analysis: Analysis | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, title = Console(), Text(printable(answer.query), style="bold")
    if not answer.hits:
        console.print(title, Text("no hits", style="dim"), sep="\n")
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    fused = any(hit.dense is not None for hit in answer.hits)
    names = ("rank", "score", "dense", "lexical") if fused else ("rank", "score")
    rows = [_numbers(hit, fused) for hit in answer.hits]
    for place, name in enumerate(names):
        table.add_column(name, justify="right", no_wrap=True, style="dim" if place > 1 else None)
    table.add_column("id", style="cyan", no_wrap=True)
    table.add_column("text", no_wrap=True)
    ids = [Text(printable(hit.document["id"])) for hit in answer.hits]
    for hit, id in zip(answer.hits, ids, strict=True):
        if "line" not in hit.document:  # a place in a file is printed whole, so that editors can open it
            id.truncate(_ID_WIDTH, overflow="ellipsis")
    widths = (max(map(len, cells)) for cells in zip(names, *rows, strict=True))
    others = sum(width + 2 for width in widths) + max(id.cell_len for id in ids) + 2
    console.width = max(console.width, others + _LEAST_TEXT)  # so that no place in a file is cut
    room = console.width - others
    terms = frozenset(answer.terms)
    for hit, row, id in zip(answer.hits, rows, ids, strict=True):
        line, places = _telling_line(hit.document.get("text") or "", terms, analysis)
        text = Text(line)
        for start, end in places:
            text.stylize("bold yellow", start, end)
        text.truncate(max(room, _LEAST_TEXT), overflow="ellipsis")
        table.add_row(*row, id, text)
        if hit.terms is not None:
            matched = ", ".join(f"{term} {score:.2f}" for term, score in hit.terms.items())
            table.add_row(*([""] * len(row)), "", Text(matched or "no term matched", style="dim"))
    console.print(table)


def _numbers(hit: Hit, fused: bool) -> list[str]:
    """Return the rank and the scores of a hit as they are printed."""
    parts = [f"{hit.dense:.4f}", f"{hit.lexical:.3f}"] if fused else []
    return [str(hit.rank), f"{hit.score:.4f}", *parts]


def _telling_line(
    text: str, terms: Collection[str], analysis: Analysis | None
) -> tuple[str, list[tuple[int, int]]]:
    """Return the first line with words of these terms, and their places; without any, the first line."""
    lines = [printable(line.strip()) for line in text.splitlines() if line.strip()][:_LINES]
    if analysis is not None and terms:
        for line in lines:
            if places := list(analysis.matches(line, terms)):
                return line, places
    return (lines[0] if lines else ""), []
