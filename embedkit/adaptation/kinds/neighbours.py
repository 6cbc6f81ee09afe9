"""Neighbours: one of two spans of a document, drawn independently, finds the other; they may overlap (the
independent cropping of Contriever, Izacard et al. 2021, arXiv 2112.09118, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from embedkit.adaptation.passage import Passage, in_one_line, require_some_pairs
from embedkit.adaptation.words import PlacedWord, placed_words

_LEAST = 5  # words of a span, so that a span says something


@dataclass(frozen=True)
class Neighbours:
    """Settings of `neighbours`: the shortest and the longest span, as shares of the document's words, and
    the most pairs per document.
    """

    lack: ClassVar = "too short"

    least: float = 0.05
    most: float = 0.5
    pairs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1:
            what = f"least={self.least:g} and most={self.most:g} are not shares that rise from above 0 to 1"
            raise ValueError(what)
        require_some_pairs(self.pairs)

    def pairs_of(self, passage: Passage, chance: np.random.Generator) -> Iterator[tuple[str, str]]:
        """Yield pairs of spans that are not equal; the second one stands behind the title."""
        words = placed_words(passage.text)
        if len(words) < 2 * _LEAST:
            return
        for _ in range(self.pairs):
            query, positive = (self._span(passage.text, words, chance) for _ in range(2))
            if query != positive:
                yield in_one_line(query), passage.document(positive)

    def _span(self, text: str, words: list[PlacedWord], chance: np.random.Generator) -> str:
        """Return a random span: its length is drawn first, then the word at which it begins."""
        shortest = max(_LEAST, round(self.least * len(words)))
        longest = max(shortest, round(self.most * len(words)))
        length = int(chance.integers(shortest, longest + 1))
        first = int(chance.integers(len(words) - length + 1))
        behind = first + length
        end = words[behind].start if behind < len(words) else len(text)
        return text[words[first].start : end].rstrip()
