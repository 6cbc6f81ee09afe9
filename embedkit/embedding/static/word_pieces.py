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


class WordPieces:
    """Cuts plain chunks into the ids of word pieces; `of` returns None for a tokenizer of another kind."""

    def __init__(self, parts: dict[str, Any]) -> None:
        model = parts["model"]
        self._lower = parts["normalizer"]["lowercase"]
        self._prefix, self._most = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
        self._vocabulary: dict[str, int] = model["vocab"]
        self._unknown = self._vocabulary[model["unk_token"]]
        self._longest = max(map(len, self._vocabulary))
        added = [token["content"] for token in parts["added_tokens"]]
        inside = [re.escape(token) for token in added if token.isalnum() or len(token) == 1]  # words or marks
        self._added = re.compile("|".join(inside)).search if inside else None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> WordPieces | None:
        """Return the word pieces of a tokenizer; None if it has other parts than BERT's."""
        parts: dict[str, Any] = orjson.loads(tokenizer.to_str())
        names = ("normalizer", "pre_tokenizer", "model")
        kinds = [(parts[name] or {}).get("type") for name in names]
        if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
            return None
        return cls(parts) if parts["model"]["unk_token"] in parts["model"]["vocab"] else None

    def cut(self, chunk: str, ids: list[int]) -> bool:
        """Append the ids of a word or mark to `ids`; return False if it is neither, or not plain."""
        if not chunk.isascii() or not (chunk.isalnum() or (len(chunk) == 1 and chunk.isprintable())):
            return False
        if self._added is not None and self._added(chunk):
            return False
        word = chunk.lower() if self._lower else chunk
        if len(word) > self._most:
            ids.append(self._unknown)
        elif (whole := self._vocabulary.get(word)) is not None:
            ids.append(whole)
        else:
            self._append_pieces(word, ids)
        return True

    def _append_pieces(self, word: str, ids: list[int]) -> None:
        """Append the ids of the longest pieces from left to right, or of the unknown token."""
        before = len(ids)
        start, prefix = 0, ""
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                if (piece := self._vocabulary.get(prefix + word[start:end])) is not None:
                    break
            else:
                ids[before:] = [self._unknown]
                return
            ids.append(piece)
            start, prefix = end, self._prefix
