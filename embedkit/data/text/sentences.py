"""Division of texts into sentences, by punctuation alone, for languages with and without spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from embedkit.data.text.record import Record

_SHORTEST = 20  # bytes of UTF-8 (20 letters, 7 Chinese characters); shorter ones join the sentence before
_MARKED = r"""
    (?<=[.!?…]) ["'”’)\]]* (\s+)      # Latin: an end, closing marks, space
    | (?<=[。！？；]) [”’」』）]* (\s*)  # Chinese and Japanese: no space follows
"""
_END = re.compile(_MARKED + r"| \s*\n\s*", re.VERBOSE)
_MARKED_END = re.compile(_MARKED, re.VERBOSE)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without the space around them; a short one joins the one before it.

    Closing quotes and brackets stay with their sentence. A full stop ends no sentence before a small letter
    or a digit ("e.g. in", "vs. 4"), unless it stands apart ("a wing . the flow"), as in text that was divided
    into words. Other abbreviations end a sentence too early, which matters little where
    sentences are samples of a text.
    """
    return (text[start:end].strip() for start, end in sentence_places(text))


def sentence_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places, `start, end`, of the sentences of a text; only white space lies outside of them."""
    start = before = 0  # of the sentence, and of its last part
    for end in chain(_ends(_END, text, 0, len(text)), [len(text)]):
        if before > start and len(text[before:end].strip().encode(errors="replace")) >= _SHORTEST:
            yield start, before
            start = before
        if text[start:end].strip():
            before = end
        else:
            start = before = end
    if text[start:].strip():
        yield start, len(text)


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the places in a part of a text where a sentence ends by its punctuation; a line may end anywhere
    in a sentence.
    """
    return _ends(_MARKED_END, text, start, end)


def _ends(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[int]:
    """Yield the ends of the matches of a pattern after which a sentence may begin."""
    for found in pattern.finditer(text, start, end):
        after, mark = text[found.end() : found.end() + 1], found.start() - 1
        stands_apart = text[max(mark - 1, 0) : mark].isspace()
        if found.group(1) is None or stands_apart or not (after.islower() or after.isdigit()):
            yield found.end()


def in_sentences(records: Iterable[Record]) -> Iterator[Record]:
    """Yield a record per sentence of the records' texts, with the id of its record and its number."""
    for record in records:
        for number, sentence in enumerate(sentences(record.text), start=1):
            yield Record(f"{record.id}#{number}", sentence, {})
