"""From which old tokens the embedding of a new token starts: from its old pieces, or from an old token of the
same rank by frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from embedkit.training.pretraining.token_kinds import CONTINUES, SPACE
from embedkit.training.pretraining.word_starts import word_starts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Origins = list[list[int]]  # per new token, the ids of its old tokens; none: the mean of all

_ROLES = ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
_SHARE_OF_WORDS = 0.5  # below this share of tokens with a letter, tokens are ids


def origins_of(old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase) -> Origins:
    """Return the origins of each token of `new`, by its id.

    Special tokens come from the old ones with their role. Where most tokens are words, a token comes from
    the old token of the same text, or from those that the old tokenizer makes of its text. Ids, as anonymised
    text has them, have no text to divide: the k-th most frequent comes from the k-th most frequent old word
    (kexue.fm 8213), by the order in which vocabularies list their tokens.
    """
    tokens: list[str] = new.convert_ids_to_tokens(list(range(len(new))))
    special = set(new.all_special_ids)
    ordinary = [number for number in range(len(tokens)) if number not in special]
    named = sum(any(letter.isalpha() for letter in tokens[number]) for number in ordinary)
    if named < _SHARE_OF_WORDS * len(ordinary):
        found = dict(zip(ordinary, ([word] for word in _words(old)), strict=False))
    else:
        starts, known = word_starts(new), old.get_vocab()
        found = {number: _pieces(old, known, tokens[number], starts[number]) for number in ordinary}
    for role in _ROLES:
        if getattr(new, role) is not None and getattr(old, role) is not None:
            found[getattr(new, role)] = [getattr(old, role)]
    return [found.get(number, []) for number in range(len(tokens))]


def _words(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that begin a word and have letters alone, two or more, in the order of their ids."""
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    starts, special = word_starts(tokenizer), set(tokenizer.all_special_ids)
    return [
        number
        for number, token in enumerate(tokens)
        if starts[number] and number not in special and (word := _bare(token)).isalpha() and len(word) > 1
    ]


def _pieces(old: PreTrainedTokenizerBase, known: dict[str, int], token: str, begins: bool) -> list[int]:
    """Return the old token with the text of a new one, or the old pieces of the text."""
    text = _bare(token)
    for name in (token, SPACE + text if begins else CONTINUES + text):
        if name in known:
            return [known[name]]
    pieces: list[int] = old.encode(text, add_special_tokens=False)
    return [piece for piece in pieces if piece != old.unk_token_id]


def _bare(token: str) -> str:
    """Return a token without its mark."""
    return token.removeprefix(CONTINUES).removeprefix(SPACE)


def from_origins(values: Tensor, origins: Sequence[Sequence[int]]) -> Tensor:
    """Return the means of the origins' rows, `(new, ...)`, from values per old token, `(old, ...)`."""
    mean = values.mean(dim=0)
    return torch.stack([values[list(rows)].mean(dim=0) if rows else mean for rows in origins])
