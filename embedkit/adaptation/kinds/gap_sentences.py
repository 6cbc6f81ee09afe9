"""Gap sentences: the sentences that have most in common with the rest of their document find the rest (the
pseudo-summary of T5 PEGASUS, kexue.fm 8209).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import ClassVar

import numpy as np

from embedkit.adaptation.passage import Passage, in_one_line, require_some_pairs, sentences_with_space
from embedkit.adaptation.words import (
    common_subsequence_length,
    placed_words,
    places_by_word,
    without_words,
)

_BLOCK = 32  # sentences that are compared with one another; a longer document has several blocks
_LONGEST = 256  # words by which a sentence is compared


@dataclass(frozen=True)
class GapSentences:
    """Settings of `gap-sentences`: the share of the words that the query reaches, the rate at which the
    query's words are dropped from the document, and the most pairs per document, one per 32 sentences.
    """

    lack: ClassVar = "of a single sentence"

    share: float = 0.25
    drop: float = 0.0
    pairs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share={self.share:g} is not between 0 and 1")
        if not 0 <= self.drop <= 1:
            raise ValueError(f"drop={self.drop:g} is not a rate from 0 to 1")
        require_some_pairs(self.pairs)

    def pairs_of(self, passage: Passage, chance: np.random.Generator) -> Iterator[tuple[str, str]]:
        """Yield the chosen sentences of each block and the others, without the words that are dropped."""
        sentences = sentences_with_space(passage.text)
        starts = range(0, len(sentences), _BLOCK)[: self.pairs]
        for block in (sentences[start : start + _BLOCK] for start in starts):
            if len(block) < 2:
                continue
            chosen = chosen_sentences(block, self.share)
            query = in_one_line("".join(block[place] for place in chosen))
            rest = "".join(text for place, text in enumerate(block) if place not in chosen).strip()
            if rest := self._dropped(rest, query, chance):
                yield query, passage.document(rest)

    def _dropped(self, text: str, query: str, chance: np.random.Generator) -> str:
        """Return a text without some of the words that it shares with the query; a word goes everywhere or
        stays everywhere.
        """
        if not self.drop:
            return text
        asked, there = ({each.word for each in placed_words(side)} for side in (query, text))
        shared = sorted(asked & there)
        gone = chance.random(len(shared)) < self.drop
        return without_words(text, {word for word, goes in zip(shared, gone, strict=True) if goes}).strip()


def chosen_sentences(sentences: Sequence[str], share: float) -> list[int]:
    """Return the places of the sentences that are the query, in order: at least one, and not all.

    Each step adds the sentence with which the chosen ones have the longest common subsequence of words with
    the others (the first of equals), until they have a `share` of all words. This choice is also the best by
    the F1 of ROUGE-L, because the two sides together always have the same number of words. The
    shorter side is the query.
    """
    words = [[each.word for each in placed_words(sentence)][:_LONGEST] for sentence in sentences]
    block = _Block(words)
    total = sum(map(len, words))
    chosen: list[int] = []
    taken = 0
    while not chosen or (taken < share * total and len(chosen) < len(words) - 1):
        others = [place for place in range(len(words)) if place not in chosen]
        chosen = max((sorted([*chosen, place]) for place in others), key=block.in_common)
        taken = sum(len(words[place]) for place in chosen)
    rest = [place for place in range(len(words)) if place not in chosen]
    return rest if 2 * taken > total else chosen


class _Block:
    """Sentences as lists of words, which stand behind one another at the bits of a whole number."""

    def __init__(self, words: Sequence[Sequence[str]]) -> None:
        self._words = words
        self._places = places_by_word(chain.from_iterable(words))
        ends = list(accumulate(map(len, words), initial=0))
        self._bits = [(1 << end) - (1 << start) for start, end in pairwise(ends)]
        self._size = ends[-1]

    def in_common(self, chosen: Sequence[int]) -> int:
        """Return the length of the longest common subsequence of the chosen sentences and the others."""
        query = [word for place in chosen for word in self._words[place]]
        others = ~sum(self._bits[place] for place in chosen)
        rest = {word: self._places[word] & others for word in set(query)}
        return common_subsequence_length(rest, self._size, query)
