"""Division of texts into sentences, by punctuation alone, for languages with and without spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from embedkit.data.text.records import Record

_SHORTEST = 20  # characters; a shorter sentence is joined to the one before it
_END = re.compile(
    r"""
    (?<=[.!?…]) ["'”’)\]]* \s+ (?=[^\s a-z])   # Latin: end, closing marks, space, no small letter
    | (?<=[。！？；]) [”’」』）]* \s*            # Chinese and Japanese: no space follows
    | \s*\n\s*
    """,
    re.VERBOSE,
)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without the space around them; a short one joins the one before it.

    Closing quotes and brackets stay with their sentence. An abbreviation before a capital ends a sentence too
    early, which matters little where sentences are only samples of a text.
    """
    held = ""
    start = 0
    for end in (*_END.finditer(text), None):
        stop = len(text) if end is None else end.start() + len(end.group().rstrip())
        part = text[start:stop].strip()
        start = len(text) if end is None else end.end()
        if not part:
            continue
        if held and len(part) < _SHORTEST:
            held = f"{held} {part}"
            continue
        if held:
            yield held
        held = part
    if held:
        yield held


def in_sentences(records: Iterable[Record]) -> Iterator[Record]:
    """Yield a record per sentence of the records' texts, with the id of its record and its number."""
    for record in records:
        for number, sentence in enumerate(sentences(record.text), start=1):
            yield Record(f"{record.id}#{number}", sentence, {})
