"""Documents without labels, from which methods make training pairs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from embedkit.data.folders.passages import HEADINGS
from embedkit.data.text.record import Record, embedded
from embedkit.data.text.sentences import sentence_places

TITLE = "title"


class Passage(NamedTuple):
    """A document: its title, which is empty without one, and its text, which does not repeat the title.

    `in_front` is what an index embeds in front of the text, with the space between them: the title, or the
    headings above a passage of a file.
    """

    title: str
    text: str
    in_front: str = ""

    def document(self, text: str) -> str:
        """Return a part of the text as an index embeds it, behind the title."""
        return f"{self.in_front}{text}"


class PairMethod(Protocol):
    """A method that makes pairs; `lack` describes the documents from which it can make none."""

    lack: ClassVar[str]

    def pairs_of(self, passage: Passage, chance: np.random.Generator) -> Iterator[tuple[str, str]]:
        """Yield queries with their positives, all made of one passage."""


def require_some_pairs(pairs: int) -> None:
    """Raise ValueError for a setting of less than one pair per document."""
    if pairs < 1:
        raise ValueError(f"pairs={pairs} is not at least 1")


def passage_of(record: Record) -> Passage:
    """Return a record as a passage; its title is its field `title`, or the headings above it in its file.

    A title stands in front of the document if it stands in front of the record's text, and headings if they
    are embedded.
    """
    title, headings = (_words(record.fields.get(name)) for name in (TITLE, HEADINGS))
    if headings and not title:
        return Passage(headings, record.text, embedded(record.context, "") if record.context else "")
    text = record.text.strip()
    rest = text.removeprefix(title)
    if title and rest != text and (not rest or rest[0].isspace()):  # a reader has joined title and text
        return Passage(title, rest.lstrip(), f"{title} ")
    return Passage(title, text)


def _words(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def sentences_with_space(text: str) -> list[str]:
    """Return the sentences of a text with the white space behind them; joined, they are the text without the
    white space in front of it.
    """
    starts = [start + _indent(text[start:end]) for start, end in sentence_places(text)]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def in_one_line(text: str) -> str:
    """Return a text with single spaces for its white space, as a query is typed."""
    return " ".join(text.split())
