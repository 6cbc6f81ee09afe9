"""Words of a text with their places, and the longest subsequence that two lists of words have in common."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from embedkit.indexing.lexical.analysis import is_unspaced, word_places


class PlacedWord(NamedTuple):
    """A word at `start:end` of a text, case folded."""

    word: str
    start: int
    end: int


def placed_words(text: str) -> list[PlacedWord]:
    """Return the words of a text; in scripts without spaces, such as Chinese, each character is a word."""
    found = []
    for start, end in word_places(text):
        if is_unspaced(text[start:end]):
            found += [PlacedWord(text[place], place, place + 1) for place in range(start, end)]
        else:
            found.append(PlacedWord(text[start:end].casefold(), start, end))
    return found


def without_words(text: str, words: Container[str]) -> str:
    """Return a text without the occurrences of some words; of the spaces around a word that is left out, one
    side goes with it.
    """
    kept, done = [], 0
    for word, start, end in placed_words(text):
        if word in words:
            kept.append(text[done:start])
            done = end + (text[end : end + 1] == " " and (start == 0 or text[start - 1].isspace()))
    return "".join([*kept, text[done:]])


def places_by_word(words: Iterable[str]) -> dict[str, int]:
    """Return the places of each word in a list, as the bits of a whole number."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places


def common_subsequence_length(places: Mapping[str, int], size: int, other: Iterable[str]) -> int:
    """Return the length of the longest common subsequence of two lists, the first given by the places of its
    words below `size`; places that have no word count for nothing.

    Bit-parallel (Crochemore et al. 2001; Hyyroe 2004, "Bit-parallel LCS-length computation revisited"): one
    row of the usual table is a whole number, and each word of `other` costs a few operations on it, so the
    time is proportional to `size * len(other) / 64`.
    """
    full = (1 << size) - 1
    row = full  # a bit becomes zero at a place where the length grows by one
    for word in other:
        if found := row & places.get(word, 0):
            row = (row + found | row - found) & full
    return size - row.bit_count()
