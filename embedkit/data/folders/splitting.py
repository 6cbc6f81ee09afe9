"""Splitting of documents into spans of at most so many tokens, at the best places that there are.

A text that is too long is divided at its highest headings, a part that is still too long at the next
headings, then at the levels of its format (paragraphs, sentences, lines), and last between tokens. Neighbours
of one level are joined again as long as they fit.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from embedkit.data.folders.document import Document, FindPlaces
from embedkit.data.folders.token_places import Places, TokenPlaces

_SPACE = re.compile(r"\s*")
_WORD = 16  # tokens within which a cut looks for the beginning of a word
_LITTLE = 8  # a text of at most this part of a chunk is no passage of its own if the next one is divided


class Span(NamedTuple):
    """A part of a text, from one character up to another."""

    start: int
    end: int


def spans(document: Document, chunk: int, overlap: int, token_places: TokenPlaces) -> Iterator[Span]:
    """Yield the spans of a document, in order, each of at most `chunk` tokens.

    With an overlap, a span begins up to so many tokens earlier, within the section of the span: at the first
    sentence, line or paragraph there, or else at the token.
    """
    whole = Span(document.start, len(document.text))
    if whole.end - whole.start <= chunk:  # a token has at least one character
        yield whole
        return
    tokens = token_places(document.text)
    if not len(tokens):
        return
    splitter = _Splitter(document, tokens, chunk - overlap)
    before = -1  # the first character of the last span that is not white space
    for span in splitter.divide(whole, 0):
        start = splitter.earlier(span.start, overlap, before + 1) if overlap else span.start
        yield Span(start, span.end)
        space = _SPACE.match(document.text, start, span.end)
        before = space.end() if space else start


@dataclass(frozen=True)
class _Splitter:
    document: Document
    tokens: Places
    size: int  # most tokens per span

    @cached_property
    def _places(self) -> list[int]:
        return [heading.place for heading in self.document.headings]

    @property
    def _levels(self) -> list[FindPlaces]:
        used = sorted({heading.level for heading in self.document.headings})
        return [*(self._headings(level) for level in used), *self.document.levels]

    def _headings(self, level: int) -> FindPlaces:
        places = [heading.place for heading in self.document.headings if heading.level == level]
        return lambda text, start, end: iter(places[bisect_right(places, start) : bisect_left(places, end)])

    def count(self, start: int, end: int) -> int:
        """Count the tokens that begin in a part of the text."""
        first, last = self.tokens.searchsorted([start, end])
        return int(last - first)

    def divide(self, whole: Span, level: int, levels: Sequence[FindPlaces] | None = None) -> Iterator[Span]:
        """Yield the spans of a part, divided at the places of `level`, or of the next ones if needed."""
        levels = self._levels if levels is None else levels
        if self.count(*whole) <= self.size:
            yield whole
            return
        if level == len(levels):
            yield from self._cut(whole)
            return
        start = whole.start
        inner = levels[level](self.document.text, *whole)
        for part in map(Span._make, pairwise([whole.start, *inner, whole.end])):
            if self.count(start, part.end) <= self.size:
                continue
            if self.count(*part) > self.size and self._joins(start, part, levels[level]):
                part = Span(start, part.end)
            elif start < part.start:
                yield Span(start, part.start)
            start = part.start
            if self.count(*part) > self.size:
                yield from self.divide(part, level + 1, levels)
                start = part.end
        if start < whole.end:
            yield Span(start, whole.end)

    def _joins(self, start: int, part: Span, find: FindPlaces) -> bool:
        """Return whether what comes before a part is divided together with it: within a section, or if it is
        little more than a heading.
        """
        return find in self.document.levels or self.count(start, part.start) <= self.size // _LITTLE

    def _cut(self, whole: Span) -> Iterator[Span]:
        """Yield the spans of a part that has no places, cut between words, or else between tokens."""
        first, last = self.tokens.searchsorted(whole).tolist()
        start = whole.start
        while last - first > self.size:
            most = first + self.size
            nearest = range(most, max(first, most - _WORD), -1)
            first = next((token for token in nearest if self._begins_a_word(token)), most)
            end = int(self.tokens[first])
            yield Span(start, end)
            start = end
        yield Span(start, whole.end)

    def _begins_a_word(self, token: int) -> bool:
        place = int(self.tokens[token])
        return place > 0 and self.document.text[place - 1].isspace()

    def earlier(self, start: int, overlap: int, least: int) -> int:
        """Return the place, up to `overlap` tokens before `start`, at which a span begins: at a sentence,
        a line or a paragraph, else a word; in a text without words, a token.
        """
        number = bisect_right(self._places, start)
        section = self._places[number - 1] if number else 0
        least = max(least, section, self.document.start)
        last = int(self.tokens.searchsorted(start))
        first = max(int(self.tokens.searchsorted(least)), last - overlap)
        if first >= last:
            return start
        least = int(self.tokens[first])
        found = (next(find(self.document.text, least, start), start) for find in self.document.levels)
        place = min(found, default=start)
        if place < start:
            return place
        words = range(first, min(first + _WORD, last))
        otherwise = start if self.document.text[start - 1].isspace() else least
        return next((int(self.tokens[word]) for word in words if self._begins_a_word(word)), otherwise)
