"""Places where texts may be divided: before paragraphs, items, sentences, lines, and definitions of code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedkit.data.folders.document import FindPlaces
from embedkit.data.text.sentences import sentence_ends


def before(pattern: str) -> FindPlaces:
    """Return a function that finds the ends of all matches of a pattern."""
    compiled = re.compile(pattern)

    def find(text: str, start: int, end: int) -> Iterator[int]:
        """Yield the ends of the matches inside `text[start:end]`."""
        for match in compiled.finditer(text, start, end):
            if start < match.end() < end:
                yield match.end()

    return find


def before_sentences(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the places behind the punctuation of sentences, in languages with and without spaces."""
    for place in sentence_ends(text, start, end):
        if start < place < end:
            yield place


_BLANK = r"\n[ \t]*\n(?:[ \t]*\n)*"
before_lines = before(r"\n")
before_paragraphs = before(_BLANK)
before_items = before(r"\n(?=[ \t]*(?:[-*+•|]|\d{1,3}[.)])[ \t])")  # of lists, and rows of tables
before_words = before(r"\s+")

PROSE: tuple[FindPlaces, ...] = (
    before_paragraphs, before_items, before_sentences, before_lines,
)  # fmt: skip
CODE: tuple[FindPlaces, ...] = (
    before(_BLANK + r"(?=[^\s})\]])"),  # a definition that is not indented, after a blank line
    before(_BLANK + r"(?=(?: {1,4}|\t)[^\s})\]])"),  # one that is indented once
    before_paragraphs,
    before_lines,
)
