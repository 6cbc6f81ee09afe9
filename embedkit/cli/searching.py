"""Search an index for queries, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from embedkit.cli.output import Answer

if TYPE_CHECKING:
    from embedkit.data.text.records import Record
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.query import Query
    from embedkit.indexing.store import Index


_HITS_AT_A_TIME = 100_000  # hits held in memory with their documents


def answer(
    index: Index, encoder: Encoder, questions: Iterator[list[Record]], query: Query, format: str
) -> Iterator[Answer]:
    """Yield the answers to queries, searched by window; if the format needs only ids, read only ids."""
    from embedkit.embedding.encoder import require_finite
    from embedkit.indexing.query import hits

    columns = _columns(format)
    step = max(1, _HITS_AT_A_TIME // max(1, min(query.k, index.rows)))
    for window in questions:
        texts = [record.text for record in window]
        vectors = encoder.encode(texts, "query")
        require_finite(vectors, texts)
        for start in range(0, len(window), step):
            found = hits(index, vectors[start : start + step], query, columns)
            for record, line in zip(window[start : start + step], found, strict=True):
                yield Answer(record.id, record.text, line)


def _columns(format: str) -> list[str] | None:
    return ["id"] if format in ("trec", "ids") else None
