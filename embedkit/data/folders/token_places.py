"""Where the tokens of a text begin: by the encoder's own tokenizer, or by a rule where it has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
TokenPlaces = Callable[[str], Places]  # returns the character at which each token begins, sorted

_LONGEST = 32  # characters; a longer token (an unknown word of any length) counts as several
_RULE = r"""  # compiled at its first use, which a search never makes
    [぀-ヿ㐀-䶿一-鿿豈-﫿가-힣]   # one Japanese, Chinese or Korean character
    | [^\W぀-ヿ㐀-䶿一-鿿豈-﫿가-힣]{1,6}  # up to six letters, digits and underscores of a word
    | [^\w\s]                          # one punctuation mark or symbol
    """
_BLOCK = 1 << 16  # characters that are tokenised at a time


def rule_places(text: str) -> Places:
    """Return the places of tokens by a rule: up to six letters, digits or underscores of a word are one
    token, and so is each Chinese, Japanese or Korean character and each other mark.

    English text has about as many of these tokens as WordPiece gives it.
    """
    return np.fromiter((match.start() for match in re.finditer(_RULE, text, re.VERBOSE)), dtype=np.int64)


def in_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield a text in blocks that end at white space, if possible at the end of a line, each with its place:
    a tokenizer then reads a long text in little memory.
    """
    start = 0
    while len(text) - start > _BLOCK:
        end = start + _BLOCK
        cut = max(text.rfind("\n", start, end), text.rfind(" ", start, end))
        line = text.rfind("\n", start + _BLOCK // 2, end)
        end = next((place + 1 for place in (line, cut) if place > start), end)
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def divided(starts: Places, ends: Places) -> Places:
    """Return the starts of tokens `(tokens,)`, with more of them inside tokens of many characters."""
    long = np.flatnonzero(ends - starts > _LONGEST)
    if not len(long):
        return starts
    more = [np.arange(starts[place], ends[place], _LONGEST)[1:] for place in long.tolist()]
    return np.sort(np.concatenate([starts, *more]))
