"""Search an index for queries, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from embedkit.cli.printed_hits import Answer

if TYPE_CHECKING:
    from embedkit.data.text.record import Record
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.lexical.analysis import Analysis
    from embedkit.indexing.lexical.operators import LexicalQuery
    from embedkit.indexing.query import Query
    from embedkit.indexing.store import Index


_HITS_AT_A_TIME = 100_000  # hits held in memory with their documents


def answer(
    index: Index,
    encoder: Encoder | None,
    questions: Iterator[list[Record]],
    query: Query,
    format: str,
    read: Callable[[str], LexicalQuery] | None = None,
) -> Iterator[Answer]:
    """Yield the answers to queries, searched by window; if the format needs only ids, read only ids.

    `read` returns the words of a query, for a search by words; a search by words alone has no encoder.
    """
    from embedkit.embedding.encoder import require_finite
    from embedkit.indexing.query import hits

    columns = columns_of(format)
    step = max(1, _HITS_AT_A_TIME // max(1, min(query.k, index.rows)))
    for window in questions:
        words = [] if read is None else [read(record.text) for record in window]
        texts = [each.text for each in words] or [record.text for record in window]
        vectors = None if encoder is None else encoder.encode(texts, "query")
        if vectors is not None:
            require_finite(vectors, texts)
        for start in range(0, len(window), step):
            block = slice(start, start + step)
            found = hits(index, None if vectors is None else vectors[block], query, columns, words[block])
            for place, line in enumerate(found, start):
                record = window[place]
                marked = index.lexical.telling(words[place].terms) if words and format == "table" else ()
                yield Answer(record.id, record.text, line, marked)


def reader_of(analysis: Analysis | None, *, operators: bool) -> Callable[[str], LexicalQuery] | None:
    """Return the function that reads the words of a query, with or without operators; None without words."""
    from embedkit.indexing.lexical.operators import literal_query, parse_query

    if analysis is None:
        return None
    return partial(parse_query if operators else literal_query, analysis=analysis)


def columns_of(format: str) -> list[str] | None:
    """Return the fields of documents that an output format needs; None if it needs all."""
    return ["id"] if format in ("trec", "ids") else None
