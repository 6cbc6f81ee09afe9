"""Words of a corpus and how often they occur, as a tokenizer without tokens divides its texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MOST_DISTINCT = 1 << 21  # distinct words counted at a time; beyond it, words seen once are dropped
_LONGEST_TEXT = 1 << 14  # characters that are read of a text at a time


def count_words(tokenizer: Tokenizer, texts: Iterable[str], longest: int) -> Counter[str]:
    """Return how often each word of at most `longest` characters occurs, in the order of first occurrence.

    Words are what the tokenizer's normalizer and pre-tokenizer make of the texts. A text of more than 16,384
    characters is read in parts of that length.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        for part in _parts(text):
            counts.update(word for word in words_of(tokenizer, part) if len(word) <= longest)
        if len(counts) > _MOST_DISTINCT:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    return counts


def words_of(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    """Yield the words that the tokenizer's normalizer and pre-tokenizer make of a text."""
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    if tokenizer.pre_tokenizer is None:
        return iter([text] if text else [])
    return (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))


def _parts(text: str) -> Iterator[str]:
    return (text[start : start + _LONGEST_TEXT] for start in range(0, len(text), _LONGEST_TEXT))


def most_frequent(counts: Counter[str], fewest: int = 1) -> list[str]:
    """Return what occurs at least `fewest` times, the most frequent first; of equal counts in the order of
    the alphabet, so that the result does not depend on the order of texts.
    """
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [name for name, count in ordered if count >= fewest]
