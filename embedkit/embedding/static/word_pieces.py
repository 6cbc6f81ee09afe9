"""Word pieces of plain chunks, in Python: for short strings this takes less time than calling a tokenizer.

Only BERT's own parts (BertNormalizer, BertPreTokenizer, WordPiece) are covered, and of their input only
printable ASCII without added tokens. Such a chunk is changed by the normalizer in its case alone, and divided
into words and single marks. A word is cut into the longest pieces from left to right (Wu et al. 2016, arXiv
1609.08144, section 4.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_REMEMBERED = 1 << 18  # words, tokens included
_PARTS = re.compile(r"[0-9A-Za-z]+|[^0-9A-Za-z]")


class WordPieces:
    """Cuts plain chunks into the ids of word pieces; `of` returns None for a tokenizer of another kind."""

    def __init__(self, parts: dict[str, Any]) -> None:
        model = parts["model"]
        self._lower = parts["normalizer"]["lowercase"]
        self._prefix, self._most = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
        self._vocabulary: dict[str, int] = model["vocab"]
        self._unknown = [self._vocabulary[model["unk_token"]]]
        self._longest = max(map(len, self._vocabulary))
        self._whole = {word: [number] for word, number in self._vocabulary.items() if len(word) <= self._most}
        self._known = dict(self._whole)
        self._words_added = any(token["content"].isalnum() for token in parts["added_tokens"])
        added = [re.escape(token["content"].lower()) for token in parts["added_tokens"]]
        self._added = re.compile("|".join(added) or "(?!)")

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> WordPieces | None:
        """Return the word pieces of a tokenizer; None if it has other parts than BERT's."""
        parts: dict[str, Any] = orjson.loads(tokenizer.to_str())
        names = ("normalizer", "pre_tokenizer", "model")
        kinds = [(parts[name] or {}).get("type") for name in names]
        if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
            return None
        return cls(parts) if parts["model"]["unk_token"] in parts["model"]["vocab"] else None

    def cut(self, chunk: str) -> list[int] | None:
        """Return the ids of a chunk without spaces; None if it is not plain."""
        if not chunk.isascii():
            return None
        lower = chunk.lower()
        text = lower if self._lower else chunk
        if chunk.isalnum() and not self._words_added:
            return self._word(text)
        if not chunk.isprintable() or self._added.search(lower):
            return None
        return [number for word in _PARTS.findall(text) for number in self._word(word)]

    def _word(self, word: str) -> list[int]:
        """Return the ids of a word; those of words that are no tokens are remembered."""
        if (found := self._known.get(word)) is None:
            if len(self._known) > _REMEMBERED:
                self._known = dict(self._whole)
            found = self._known[word] = self._pieces(word)
        return found

    def _pieces(self, word: str) -> list[int]:
        """Return the ids of the longest pieces from left to right, or of the unknown token."""
        if len(word) > self._most:
            return self._unknown
        ids, start, before = [], 0, ""
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                if (piece := self._vocabulary.get(before + word[start:end])) is not None:
                    break
            else:
                return self._unknown
            ids.append(piece)
            start, before = end, self._prefix
        return ids
