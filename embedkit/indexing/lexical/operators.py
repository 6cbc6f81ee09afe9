"""Queries as people type them: `"exact phrase"`, `+word` that a hit must hold, `-word` that it must not."""

from __future__ import annotations

import re
from typing import NamedTuple

from embedkit.errors import UsageError
from embedkit.indexing.lexical.analysis import Analysis

Phrase = tuple[str, ...]  # terms that follow one another

_OPERATOR = re.compile(
    r"""(?<!\S)(?P<sign>[+-]?)(?:["“](?P<phrase>[^"“”]+)["”]|(?P<word>(?<=[+-])[^\W\d_]\S*))(?!\w)"""
)


class LexicalQuery(NamedTuple):
    """A query for a lexical search: its text without operators, its terms, and the phrases that a hit must
    hold or must not hold; a phrase may be a single term.
    """

    text: str
    terms: list[str]
    required: tuple[Phrase, ...] = ()
    excluded: tuple[Phrase, ...] = ()


def literal_query(text: str, analysis: Analysis) -> LexicalQuery:
    """Return the query for a text in which quotes and signs mean nothing."""
    return LexicalQuery(text, analysis.query_terms(text))


def parse_query(text: str, analysis: Analysis) -> LexicalQuery:
    """Return the query for a text with operators.

    A sign counts in front of a letter or of a quoted phrase, at the beginning of a word; so `-5`, `C++` and
    `e-mail` are ordinary words. Raises UsageError for a query that consists of exclusions only.
    """
    required: list[Phrase] = []
    excluded: list[Phrase] = []
    parts: list[str] = []
    end = 0
    for found in _OPERATOR.finditer(text):
        inside = found["phrase"] or found["word"]
        phrase = tuple(analysis.phrase_terms(inside))
        if not phrase:
            continue
        parts.append(text[end : found.start()])
        end = found.end()
        if found["sign"] != "-":
            parts.append(inside)
        (excluded if found["sign"] == "-" else required).append(phrase)
    plain = "".join([*parts, text[end:]]).strip()
    if excluded and not plain:
        what = f"the query {text!r} only excludes words"
        raise UsageError(what, hint="add a word to search for")
    return LexicalQuery(plain, analysis.query_terms(plain), tuple(required), tuple(excluded))
