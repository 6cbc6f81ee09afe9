"""Lexical analysis: text becomes terms.

Text is normalised (NFKC), case folded, and split into words: runs of letters, marks and digits. In scripts
written without spaces between words (Chinese, Japanese, Korean, Thai ...) each pair of adjacent characters is
a term, as in Lucene's CJKBigramFilter. Other words are reduced to their stems by Snowball (Porter 2001).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

LANGUAGES = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
    "yi": "yiddish",
}  # fmt: skip
BREAK = "\0"  # separates texts; no word contains it
LONGEST = 255  # characters of a term; a longer word is cut

_UNSPACED = (  # code points: Thai and Lao, Myanmar, Hangul jamo, Khmer, kana, Han, Hangul syllables
    (0x0E01, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3005, 0x3007),
    (0x3041, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF), (0x20000, 0x323AF),
)  # fmt: skip
_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}  # for text in ASCII
_INVISIBLE = re.compile("[\u00ad\u200c\u200d\u2060\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # inside a word


class Word(NamedTuple):
    """A word at `start:end` of a text, with its terms."""

    terms: list[str]
    start: int
    end: int


@dataclass(frozen=True)
class Analysis:
    """The rules by which text becomes terms; `language` selects the stemmer, and `none` means no stemmer."""

    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in ("none", *LANGUAGES):
            raise ValueError(f"unknown language {self.language!r}; known: none, {', '.join(LANGUAGES)}")

    def document_terms(self, text: str) -> list[str]:
        """Return the terms of a document in order; the position of a term is its place in this list.

        A run of n characters without spaces has n terms: n - 1 pairs, then its last character alone. The
        occurrences of one character are thus the terms that begin with it.
        """
        return [term for word in split([text]) for term in self.terms(word)]

    def query_terms(self, text: str) -> list[str]:
        """Return the terms of a query in order: those of a document, but only the pairs of a longer run."""
        found: list[str] = []
        for word in split([text]):
            terms = self.terms(word)
            found += terms[:-1] if len(terms) > 1 else terms
        return found

    def phrase_terms(self, text: str) -> list[str]:
        """Return the terms that follow one another in each document that contains a text: those of a
        document, but of a run at the end only the pairs, since a document may continue it.
        """
        words = split([text])
        found = [term for word in words for term in self.terms(word)]
        return found[:-1] if words and is_unspaced(words[-1]) and len(words[-1]) > 1 else found

    def terms(self, word: str) -> list[str]:
        """Return the terms of one word that `split` returned."""
        return pairs(word) if is_unspaced(word) else self.stems([word])

    def stems(self, words: Sequence[str]) -> list[str]:
        """Return the stems of words that are not `is_unspaced`, in order."""
        cut = [word[:LONGEST] for word in words]
        if self.language == "none":
            return cut
        stems = _stemmer(LANGUAGES[self.language]).stemWords(cut)
        return [stem or word for stem, word in zip(stems, cut, strict=True)]  # of some words, nothing is left

    def words(self, text: str) -> Iterator[Word]:
        """Yield the words of a text, as it is written, with their terms."""
        for start, end in word_places(text):
            yield Word(self.document_terms(text[start:end]), start, end)

    def matches(self, text: str, terms: Container[str]) -> Iterator[tuple[int, int]]:
        """Yield the places, `start, end`, of the words of a text that have one of these terms; within a run
        without spaces, the places of its pairs.
        """
        for word in self.words(text):
            for place, term in enumerate(word.terms):
                if len(word.terms) == word.end - word.start > 1:
                    start, end = word.start + place, word.start + place + len(term)
                else:
                    start, end = word.start, word.end
                if term in terms or (is_unspaced(term) and term[0] in terms):
                    yield start, end


def word_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places, `start, end`, of the words of a text; a run of a script without spaces is one."""
    return (found.span() for found in _written().finditer(text))


def split(texts: Iterable[str]) -> list[str]:
    """Return the words of several texts, normalised, with a `BREAK` after each text except the last."""
    return f" {BREAK} ".join(map(_spaced, texts)).split()


def _spaced(text: str) -> str:
    """Return the words of a text, normalised, with spaces between them."""
    if text.isascii():
        return text.lower().translate(_SPACES)
    return " ".join(_words().findall(normalised(text)))


def normalised(text: str) -> str:
    """Return text in the form in which it is split: NFKC, case folded, without invisible characters."""
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", folded)


def is_unspaced(word: str) -> bool:
    """Return whether a word is a run of a script without spaces; a word is never partly such a run."""
    return word[0] >= "\u0e01" and bool(_unspaced().match(word))


def pairs(run: str) -> list[str]:
    """Return the pairs of adjacent characters of a run, then its last character alone."""
    return [*map("".join, pairwise(run)), run[-1]]


class _Classes(NamedTuple):
    unspaced: str  # characters of scripts without spaces
    letters: str  # a run of letters and digits of other scripts; Python's \w has no marks
    marks: str


@lru_cache
def _classes() -> _Classes:
    unspaced = "".join(_ranges(first, last, "LMN") for first, last in _UNSPACED)
    return _Classes(unspaced, rf"[^\W_{unspaced}]+", _ranges(0x300, 0x1F000, "M"))


@lru_cache
def _unspaced() -> re.Pattern[str]:
    """Compile the pattern of a run of a script without spaces; each pattern takes some milliseconds."""
    return re.compile(f"[{_classes().unspaced}]+")


@lru_cache
def _words() -> re.Pattern[str]:
    """Compile the pattern of words of normalised text."""
    unspaced, letters, marks = _classes()
    return re.compile(rf"{letters}(?:[{marks}]+(?:{letters})?)*|[{unspaced}]+")


@lru_cache
def _written() -> re.Pattern[str]:
    """Compile the pattern of words of text as it is written."""
    unspaced, letters, marks = _classes()
    inside = f"[{marks}{_INVISIBLE.pattern[1:-1]}]+"
    run = f"[{unspaced}]+(?:{_INVISIBLE.pattern}+[{unspaced}]+)*"
    return re.compile(rf"{letters}(?:{inside}(?:{letters})?)*|{run}")


def _ranges(first: int, last: int, kinds: str) -> str:
    """Return the code points of some kinds, the first letters of their categories, as ranges of a character
    class.
    """
    found = "".join(category[0] for category in map(unicodedata.category, map(chr, range(first, last + 1))))
    places = (match.span() for match in re.finditer(f"[{kinds}]+", found))
    return "".join(f"{chr(first + start)}-{chr(first + end - 1)}" for start, end in places)


@lru_cache
def _stemmer(name: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(name)
