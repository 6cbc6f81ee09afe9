"""Questions with known answers: judged queries whose documents are in an index, or pairs of texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from embedkit.data.text.qrels import Judgement, judged_again
from embedkit.data.text.record import Record
from embedkit.errors import DataError


class Question(NamedTuple):
    """A query with its positives: documents of the index by their ids, and texts; `known` are ids of other
    documents that are never negatives.
    """

    id: str
    text: str
    documents: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def judged_questions(queries: Iterable[Record], judgements: Iterable[Judgement]) -> Iterator[Question]:
    """Yield the queries that have a relevant document, one of grade 1 or more; its grades decide the order of
    their positives, the highest first.

    The judgements are kept in a temporary file, so memory does not grow with them. Raises DataError for a
    document that is judged again.
    """
    with temporary_table("query, document, grade INTEGER, UNIQUE (query, document)") as table:
        for place, query, document, grade in judgements:
            try:
                table.execute("INSERT INTO rows VALUES (?, ?, ?)", (_bytes(query), _bytes(document), grade))
            except sqlite3.IntegrityError:
                raise judged_again(place, query, document) from None
        relevant = "SELECT document FROM rows WHERE query = ? AND grade > 0 ORDER BY grade DESC, rowid"
        for asked in queries:
            if names := tuple(_text(name) for (name,) in table.execute(relevant, (_bytes(asked.id),))):
                yield Question(asked.id, asked.text, documents=names)


def paired_questions(rows: Iterable[tuple[str, str, str | None]]) -> Iterator[Question]:
    """Yield a question per anchor of rows of an anchor, a positive and the id of the document that the
    positive was made of, where it is known. The question has the positives of all its rows.

    Its id is the number of its first row. The rows are kept in a temporary file, so memory does not grow
    with them.
    """
    with temporary_table("anchor, positive, source") as table:
        encoded = ([None if text is None else _bytes(text) for text in row] for row in rows)
        table.executemany("INSERT INTO rows VALUES (?, ?, ?)", encoded)
        table.execute("CREATE INDEX anchors ON rows (anchor)")
        grouped = """
            SELECT first, anchor, positive, source
            FROM (SELECT anchor AS question, min(rowid) AS first FROM rows GROUP BY anchor)
            JOIN rows ON anchor = question ORDER BY first, rows.rowid
        """
        for number, several in groupby(table.execute(grouped), key=itemgetter(0)):
            _, anchors, positives, sources = zip(*several, strict=True)
            texts = tuple(map(_text, dict.fromkeys(positives)))
            known = tuple(_text(source) for source in dict.fromkeys(sources) if source is not None)
            yield Question(str(number), _text(anchors[0]), texts=texts, known=known)


@contextmanager
def temporary_table(columns: str) -> Iterator[sqlite3.Connection]:
    """Yield a database with an empty table `rows` in a file that vanishes at the end; raises DataError when
    the disk is full.
    """
    try:
        with closing(sqlite3.connect("")) as database:
            database.execute("PRAGMA journal_mode = OFF")
            database.execute(f"CREATE TABLE rows ({columns})")
            yield database
    except sqlite3.OperationalError as error:
        raise DataError(f"a temporary file failed: {error}", hint="TMPDIR names its folder") from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can hold half of a surrogate pair


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")
