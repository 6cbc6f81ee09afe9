"""Word pieces of plain chunks, in Python: for short strings this takes less time than calling a tokenizer.

Only BERT's own parts (BertNormalizer, BertPreTokenizer, WordPiece) are covered, and of their input only words
and single marks in ASCII without added tokens, of which the normalizer changes nothing but the case. They are
cut into the longest pieces from left to right (Wu et al. 2016, arXiv 1609.08144, section 4.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PLAIN = re.compile("[0-9A-Za-z]+|[!-~]").fullmatch


class WordPieces:
    """Cuts plain chunks into the ids of word pieces; `of` returns None for a tokenizer of another kind."""

    def __init__(self, parts: dict[str, Any]) -> None:
        model = parts["model"]
        self._lower = parts["normalizer"]["lowercase"]
        self._prefix, self._most = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
        self._vocabulary: dict[str, int] = model["vocab"]
        self._unknown = [self._vocabulary[model["unk_token"]]]
        self._longest = max(map(len, self._vocabulary))
        self._added = re.compile(
            "|".join(re.escape(token["content"]) for token in parts["added_tokens"]) or "(?!)"
        )

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
        """Return the ids of a word or mark; None if it is neither, or not plain."""
        if not _PLAIN(chunk) or self._added.search(chunk):
            return None
        word = chunk.lower() if self._lower else chunk
        if len(word) > self._most:
            return self._unknown
        whole = self._vocabulary.get(word)
        return self._pieces(word) if whole is None else [whole]

    def _pieces(self, word: str) -> list[int]:
        """Return the ids of the longest pieces from left to right, or of the unknown token."""
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
