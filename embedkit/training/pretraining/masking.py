"""Masks of a batch: which tokens a model must predict, and what it reads in their place (arXiv 1810.04805).

Of the words of a text, a share is chosen. Of their tokens, 80 % are masked, 10 % replaced by random tokens,
and 10 % left as they are. All tokens of a word are chosen together, because a word's other tokens give it
away. The random numbers are hashes of the seed, the draw, the row's number and the token's place: another
draw gives other masks, which depend neither on the other rows of a batch nor on the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedkit.training.pretraining.word_starts import word_starts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bits = NDArray[np.uint64]

NO_TARGET = -100  # target of tokens that are not predicted
_MASKED, _REPLACED = 0.8, 0.1  # shares of the chosen tokens
_LONGEST = 6  # tokens of a word that are chosen together
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio


@dataclass(frozen=True)
class Masking:
    """How tokens are masked; arrays are by token id, `(tokens,)`."""

    mask: int  # id of the mask
    starts: Flags  # True for tokens that begin a word
    ordinary: Flags  # False for special tokens, which are neither chosen nor drawn
    share: float = 0.15
    seed: int = 0

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, *, share: float, whole_words: bool, seed: int) -> Masking:
        """Return the masking for a tokenizer that has a mask."""
        ordinary = np.ones(len(tokenizer), dtype=np.bool_)
        ordinary[tokenizer.all_special_ids] = False
        starts = word_starts(tokenizer) if whole_words else np.ones(len(tokenizer), dtype=np.bool_)
        return cls(int(tokenizer.mask_token_id), starts | ~ordinary, ordinary, share, seed)

    def masked(self, ids: Ids, real: Flags, rows: Ids, draw: int) -> tuple[Ids, Ids]:
        """Return what the model reads, and its targets, both `(rows, tokens)`, NO_TARGET where a token is not
        predicted.

        `real` is False for padding. A row's numbers are hashes of its number in `rows`, `(rows,)`, and of the
        `draw`. Each row has at least one target if it has an ordinary token.
        """
        places = np.maximum(np.cumsum(real, axis=1) - 1, 0)  # within the text, wherever padding is
        chosen = self._chosen(ids, real, places, uniform(self.seed, draw, rows, places, stream=0))
        what = uniform(self.seed, draw, rows, places, stream=1)
        drawn = uniform(self.seed, draw, rows, places, stream=2)
        candidates = np.flatnonzero(self.ordinary)
        random = candidates[(drawn * len(candidates)).astype(np.int64)]
        read = np.where(chosen & (what < _MASKED), self.mask, ids)
        read = np.where(chosen & (what >= _MASKED) & (what < _MASKED + _REPLACED), random, read)
        return read, np.where(chosen, ids, NO_TARGET)

    def _chosen(self, ids: Ids, real: Flags, places: Ids, numbers: NDArray[np.float64]) -> Flags:
        """Return the tokens to predict: those of words whose first token's number is below the share, or the
        least of the row.
        """
        columns = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        first = np.maximum.accumulate(np.where(self.starts[ids] | ~real, columns, 0), axis=1)
        first = columns - (columns - first) % _LONGEST
        numbers = np.take_along_axis(numbers, first, axis=1)
        candidates = self.ordinary[ids] & real
        numbers = np.where(candidates, numbers, np.inf)
        least = numbers.min(axis=1, keepdims=True)
        chosen: Flags = candidates & ((numbers < self.share) | (numbers == least))
        return chosen


def uniform(seed: int, draw: int, rows: Ids, places: Ids, *, stream: int) -> NDArray[np.float64]:
    """Return a number from 0 to below 1 per place of a row, `(rows, places)`: the top 53 bits of a hash."""
    keys = np.zeros(1, dtype=np.uint64)
    for part in (np.array([seed]), np.array([draw]), np.array([stream]), rows):
        keys = _mixed(keys + part.astype(np.uint64) + _GOLDEN)
    bits = _mixed(keys[:, None] + places.astype(np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(bits: Bits) -> Bits:
    """Return bits that depend on all bits (the finaliser of SplitMix64: Steele, Lea and Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
