"""Which tokens of a vocabulary begin a word, by the marks that its tokenizer gives them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPACE_MARKS = ("\u2581", "\u0120")  # before tokens that begin a word: sentencepiece's, byte-level BPE's
_UNSPACED = re.compile(  # letters of scripts without spaces between words
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def word_starts(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.bool_]:
    """Return True for the tokens that begin a word, `(tokens,)`, by token id.

    Where tokens that follow a space are marked, other tokens continue a word if they begin with a letter or a
    digit, except in scripts without spaces, where each token is a word. Without marks, so is every token.
    """
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    prefix = getattr(getattr(backend, "model", None), "continuing_subword_prefix", None)
    if prefix:
        return np.array([not token.startswith(prefix) for token in tokens])
    for mark in _SPACE_MARKS:
        if any(token.startswith(mark) for token in tokens):
            of_bytes = mark == _SPACE_MARKS[1]  # letters outside of ASCII are bytes, not letters
            return np.array([token.startswith(mark) or not _continues(token, of_bytes) for token in tokens])
    return np.ones(len(tokens), dtype=np.bool_)


def _continues(token: str, of_bytes: bool) -> bool:
    first = token[:1]
    return first.isalnum() and (first.isascii() or not (of_bytes or _UNSPACED.match(first)))
