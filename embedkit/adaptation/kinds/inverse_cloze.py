"""Inverse cloze: a random sentence finds the rest of its document (Lee et al. 2019, arXiv 1906.00300, section
4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from embedkit.adaptation.passage import Passage, in_one_line, require_some_pairs, sentences_with_space


@dataclass(frozen=True)
class InverseCloze:
    """Settings of `inverse-cloze`: the probability that the sentence stays in the document, and the most
    pairs per document, each with another sentence.
    """

    lack: ClassVar = "of a single sentence"

    keep: float = 0.1
    pairs: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 1:
            raise ValueError(f"keep={self.keep:g} is not a probability from 0 to 1")
        require_some_pairs(self.pairs)

    def pairs_of(self, passage: Passage, chance: np.random.Generator) -> Iterator[tuple[str, str]]:
        """Yield random sentences with the document, most of them without the sentence."""
        sentences = sentences_with_space(passage.text)
        if len(sentences) < 2:
            return
        for number in chance.permutation(len(sentences))[: self.pairs].tolist():
            stays = chance.random() < self.keep
            kept = sentences if stays else [*sentences[:number], *sentences[number + 1 :]]
            yield in_one_line(sentences[number]), passage.document("".join(kept).strip())
