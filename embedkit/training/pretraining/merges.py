"""Pieces of words by byte-pair merges of characters, the same on every machine, in any number of threads.

The trainers of `tokenizers` number the characters in the order of a hash map, which differs from run to run,
and break ties between equally frequent pairs by these numbers. Given all characters as special tokens, they
number them in this order, and the merges are determined by the counts alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from embedkit.training.pretraining.word_counts import most_frequent

if TYPE_CHECKING:
    from tokenizers.trainers import BpeTrainer

_MOST_READ = 20_000_000  # words that are read; counts of a larger corpus are divided
_AT_A_TIME = 10_000  # copies of a word in one text


class Alphabet(NamedTuple):
    """The characters that are tokens, marked if they continue a word, most frequent first."""

    characters: Sequence[str]
    prefix: str  # before characters that continue a word; "" if they are not distinguished


def alphabet_of(words: Counter[str], prefix: str, *, most: int, fewest: int) -> Alphabet:
    """Return the `most` most frequent characters of words, of those that occur at least `fewest` times."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in _marked(word, prefix):
            counts[character] += count
    return Alphabet(most_frequent(counts, fewest)[:most], prefix)


def merged_pieces(words: Counter[str], alphabet: Alphabet, *, most: int, longest: int) -> list[str]:
    """Return the characters of an alphabet, then up to `most` in all with the most frequent pieces merged of
    them, of at most `longest` characters each.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import WhitespaceSplit

    if len(alphabet.characters) >= most:
        return list(alphabet.characters)
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = WhitespaceSplit()
    known = set(alphabet.characters)
    unmarked = {character.removeprefix(alphabet.prefix) for character in known} - known
    trainer = _trainer(alphabet, most=most + len(unmarked), longest=longest)  # it adds these, unused
    tokenizer.train_from_iterator(_repeated(words, alphabet), trainer)
    numbers: dict[str, int] = tokenizer.get_vocab()
    return [piece for piece in sorted(numbers, key=lambda piece: numbers[piece]) if piece not in unmarked]


def _trainer(alphabet: Alphabet, *, most: int, longest: int) -> BpeTrainer:
    from tokenizers.trainers import BpeTrainer

    return BpeTrainer(
        vocab_size=most,
        special_tokens=list(alphabet.characters),
        limit_alphabet=len(alphabet.characters),
        continuing_subword_prefix=alphabet.prefix,
        max_token_length=longest,
        min_frequency=2,
        show_progress=False,
    )


def _marked(word: str, prefix: str) -> list[str]:
    """Return the characters of a word, marked by `prefix` from the second on."""
    return [word[0], *(prefix + character for character in word[1:])]


def _repeated(words: Counter[str], alphabet: Alphabet) -> Iterator[str]:
    """Yield texts that have each word as often as it occurs; words with an unknown character are left out."""
    known, divisor = set(alphabet.characters), 1 + sum(words.values()) // _MOST_READ
    for word, count in words.items():
        if known.issuperset(_marked(word, alphabet.prefix)):
            left = -(-count // divisor)
            while left > 0:
                yield " ".join([word] * min(left, _AT_A_TIME))
                left -= _AT_A_TIME
