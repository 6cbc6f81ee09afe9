"""Questions with known answers: judged queries whose documents are in an index, or pairs of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

from embedkit.data.text.qrels import Qrels
from embedkit.data.text.record import Record


class Question(NamedTuple):
    """A query with its positives: documents of the index by their ids, and texts; `known` are ids of other
    documents that are never negatives.
    """

    id: str
    text: str
    documents: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def judged_questions(queries: Iterable[Record], qrels: Qrels) -> Iterator[Question]:
    """Yield the queries that have a relevant document, one of grade 1 or more; its grades decide the order of
    their positives, the highest first.
    """
    for query in queries:
        grades = qrels.get(query.id, {})
        relevant = [name for name, grade in grades.items() if grade > 0]
        relevant.sort(key=grades.__getitem__, reverse=True)
        if relevant:
            yield Question(query.id, query.text, documents=tuple(relevant))


def paired_questions(
    rows: Iterable[tuple[str, ...]], sources: Iterable[str | None] = repeat(None)
) -> Iterator[Question]:
    """Yield a question per anchor of rows of an anchor and a positive, with the positives of all its rows.

    Its id is the number of its first row. `sources` are the ids of the documents that the positives were
    made of, one per row, where they are known.
    """
    positives: dict[str, dict[str, None]] = {}
    known: dict[str, dict[str, None]] = {}
    numbers: dict[str, int] = {}
    for number, ((anchor, positive, *_), source) in enumerate(zip(rows, sources, strict=False), 1):
        numbers.setdefault(anchor, number)
        positives.setdefault(anchor, {})[positive] = None
        if source is not None:
            known.setdefault(anchor, {})[source] = None
    for anchor, texts in positives.items():
        yield Question(str(numbers[anchor]), anchor, texts=tuple(texts), known=tuple(known.get(anchor, ())))
