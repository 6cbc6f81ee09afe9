"""Vocabularies learnt from a corpus; the same texts give the same vocabulary on every machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from embedkit.errors import DataError
from embedkit.training.pretraining.merges import alphabet_of, merged_pieces
from embedkit.training.pretraining.token_kinds import (
    CONTINUES,
    LONGEST_WORD,
    SPACE,
    SPECIAL,
    UNKNOWN,
    TokenKind,
    empty_tokenizer,
    finished,
)
from embedkit.training.pretraining.word_counts import count_words, most_frequent

if TYPE_CHECKING:
    from tokenizers.models import Model
    from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 8000  # tokens that are learnt unless the settings say otherwise
_FEWEST = 2  # occurrences of a character or a whole word that becomes a token; others are unknown
_LONGEST_PIECE = 16  # characters of a token that is a part of a text
_CANDIDATES = 2  # candidates per token of unigram
_ROUNDS = 4  # in which the candidates of unigram are reduced
_CHUNKS = 100_000  # words, the most frequent ones, whose best division is counted in each round


def learn_tokenizer(
    texts: Iterable[str], kind: TokenKind, size: int, *, max_length: int, lowercase: bool = True
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of at most `size` tokens, learnt from texts; it cuts texts to `max_length` tokens.

    `wordpiece` (arXiv 1810.04805) merges the most frequent pairs; `unigram` (arXiv 1804.10959) reduces
    candidates to those that the most probable divisions of the texts use; `words` takes the most frequent
    words as they are. What occurs once in the corpus is unknown, so that the token of unknown words is
    trained too. Raises DataError when nothing occurs twice.
    """
    tokenizer = empty_tokenizer(kind, lowercase=lowercase)
    words = count_words(tokenizer, texts, longest=1 << 10 if kind == "words" else LONGEST_WORD)
    model = _LEARN[kind](words, size - len(SPECIAL))
    return finished(tokenizer, model, max_length)


def _wordpiece(words: Counter[str], most: int) -> Model:
    from tokenizers.models import WordPiece

    alphabet = alphabet_of(words, CONTINUES, most=most, fewest=_FEWEST)
    _require(alphabet.characters, "character")
    pieces = merged_pieces(words, alphabet, most=most, longest=_LONGEST_PIECE)
    how = {"max_input_chars_per_word": LONGEST_WORD, "continuing_subword_prefix": CONTINUES}
    return WordPiece(_numbered(pieces), unk_token=UNKNOWN, **how)


def _words(words: Counter[str], most: int) -> Model:
    from tokenizers.models import WordLevel

    frequent = most_frequent(words, _FEWEST)[:most]
    _require(frequent, "word")
    return WordLevel(_numbered(frequent), unk_token=UNKNOWN)


def _unigram(words: Counter[str], most: int) -> Model:
    """Return the pieces with their log probabilities: candidates are merged pairs; the rarest in the most
    probable divisions of frequent words are dropped, until `most` are left.
    """
    alphabet = alphabet_of(words, "", most=most, fewest=_FEWEST)
    _require([each for each in alphabet.characters if each != SPACE], "character")
    pieces = merged_pieces(words, alphabet, most=_CANDIDATES * most, longest=_LONGEST_PIECE)
    frequent = dict(sorted(words.items(), key=lambda each: (-each[1], each[0]))[:_CHUNKS])
    scores = dict.fromkeys(pieces, -1.0)  # at first, the divisions have the fewest pieces
    characters, candidates = set(alphabet.characters), len(pieces)
    order = {piece: place for place, piece in enumerate(pieces)}  # of equally frequent pieces
    for step in range(1, _ROUNDS + 1):
        counts = _used(_unigram_of(scores), frequent)
        share = (min(most, candidates) / candidates) ** (step / _ROUNDS)  # reduced in equal ratios
        kept = sorted(scores.keys() - characters, key=lambda piece: (-counts[piece], order[piece]))
        kept = kept[: max(0, int(share * candidates + 0.5) - len(characters))]
        total = sum(counts.values()) + len(characters)
        scores = {piece: math.log((counts[piece] + 0.5) / total) for piece in (*alphabet.characters, *kept)}
    return _unigram_of(scores)


def _used(model: Model, words: dict[str, int]) -> Counter[str]:
    """Return how often the most probable divisions of words use each piece."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for token in model.tokenize(word):
            counts[token.value] += count
    del counts[UNKNOWN]
    return counts


def _unigram_of(scores: dict[str, float]) -> Model:
    from tokenizers.models import Unigram

    lowest = min(scores.values()) - 10
    return Unigram([*((name, lowest) for name in SPECIAL), *scores.items()], SPECIAL.index(UNKNOWN), False)


def _numbered(pieces: Iterable[str]) -> dict[str, int]:
    """Return the number of each token: the special ones, then `pieces`."""
    return {piece: number for number, piece in enumerate(dict.fromkeys((*SPECIAL, *pieces)))}


def _require(found: object, what: str) -> None:
    if not found:
        raise DataError(f"no {what} occurs twice, so there is no vocabulary to learn", hint="give more texts")


_LEARN: dict[TokenKind, Callable[[Counter[str], int], Model]] = {
    "wordpiece": _wordpiece,
    "unigram": _unigram,
    "words": _words,
}
