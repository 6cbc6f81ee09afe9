"""The words of a query in a text: where they stand, and the part of the text with most of them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from embedkit.indexing.lexical.analysis import Analysis

_READ = 50_000  # characters of a text in which words are looked for
_LEAD = 40  # characters shown before the first word, at most a quarter of the snippet
_MATCHES = 500  # per text

Places = Sequence[tuple[int, int]]  # start and end, in characters


class Snippet(NamedTuple):
    """A part of a text that begins at its character `start`; the places of words are places in the part."""

    text: str
    start: int
    places: list[tuple[int, int]]


def places_of(text: str, terms: Container[str], analysis: Analysis) -> list[tuple[int, int]]:
    """Return the places in a text of words that have one of these terms; adjacent places are joined."""
    found: list[tuple[int, int]] = []
    for start, end in analysis.matches(text[:_READ], terms):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif len(found) == _MATCHES:
            break
        else:
            found.append((start, end))
    return found


def snippet_of(text: str, places: Places, width: int) -> Snippet:
    """Return the part of a text, at most `width` characters, in which most words of `places` stand."""
    start = _best_start(places, width, len(text))
    end = min(start + width, len(text))
    if start > 0 and (space := text.find(" ", start, start + width // 8)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", end - width // 8, end)) > start:
        end = space
    inside = [(max(first, start) - start, min(last, end) - start) for first, last in places]
    kept = [(first, last) for first, last in inside if first < last]
    return Snippet(text[start:end], start, kept)


def _best_start(places: Places, width: int, length: int) -> int:
    """Return where the snippet begins: at the start of the text if no other part has more words."""
    best, most = 0, sum(last <= width for _, last in places)
    right = 0
    for left, (first, _) in enumerate(places):
        start = max(0, min(first - min(_LEAD, width // 4), length - width))
        right = max(right, left)
        while right < len(places) and places[right][1] <= start + width:
            right += 1
        if right - left > most:
            best, most = start, right - left
    return best
