"""Division of texts into chunks that a tokenizer reads independently of each other.

Most tokenizers split at spaces before anything else, so that the tokens of a text are the tokens of its
chunks, one chunk after the other. Words repeat, so each distinct chunk is tokenised only once. A chunker
exists only for tokenizers whose parts are all known to allow this:

    normalizer       none, BertNormalizer, Lowercase, StripAccents, NFC, NFD, NFKC, NFKD, or several of them
    pre-tokenizer    BertPreTokenizer, Whitespace, WhitespaceSplit, or a sequence that begins with one of them
    added tokens     only those that are looked for as they are written, in ASCII without whitespace, and
                     also within words

Chunks end at the four characters that all of these treat as a border: space, tab, line feed and carriage
return. BertNormalizer also puts spaces around every Chinese character, so each is a chunk of its own.

BertPreTokenizer also divides at every punctuation mark. After it, words and ASCII marks are chunks of their
own, of which fewer are distinct, and their ASCII letters become lower-case before if the normalizer does that
anyway. Not so if the normalizer composes characters, or next to texts with added tokens, which hold marks.

Numpy finds the borders in the UTF-8 bytes of many texts at once, and Arrow finds equal chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Bytes = NDArray[np.uint8]

_COMPOSING = ("NFC", "NFKC")  # these can join an ASCII mark and the character after it
_NORMALIZERS = ("BertNormalizer", "Lowercase", "StripAccents", "NFD", "NFKD", *_COMPOSING)
_FIRST_SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
_OTHER_SPLITTERS = (*_FIRST_SPLITTERS, "Punctuation", "Digits")

_HAN = (  # the characters that BERT puts spaces around
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_MAY_BE_HAN = "\u3400-\U0002fa1f"  # one range, which is quick to look for

_BORDER, _WORD, _MARK = 0, 1, 2  # kinds of bytes: between chunks, in longer chunks, a chunk by itself
_COARSE: Bytes = np.array([_BORDER if chr(byte) in " \t\n\r" else _WORD for byte in range(256)], np.uint8)
_MARKS = [byte for byte in range(ord("!"), 0x7F) if not chr(byte).isalnum()]
_FINE = _COARSE.copy()
_FINE[_MARKS] = _MARK
_LOWER: Bytes = np.frombuffer(bytes(range(256)).lower(), np.uint8)


class Chunks(NamedTuple):
    """Texts in chunks: those of text i are `distinct[code]` for codes `codes[offsets[i]:offsets[i + 1]]`."""

    distinct: list[str]
    codes: NDArray[np.int32]  # (chunks,)
    offsets: NDArray[np.int64]  # (texts + 1,)
    fine: bool  # whether printable chunks in ASCII are words and marks that normalizing would not change


class Chunker:
    """Divides texts into chunks; `of` returns None for a tokenizer that needs whole texts."""

    def __init__(self, *, han: bool, fine: bool, lower: bool, added: Sequence[str]) -> None:
        self._fine, self._lower = fine, lower
        self._spaced = _spacer() if han else str
        self._has_added = re.compile(b"|".join(re.escape(each.encode()) for each in added) or b"(?!)").search

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Chunker | None:
        """Return the chunker that a tokenizer allows."""
        parts: dict[str, Any] = orjson.loads(tokenizer.to_str())
        normalizers, splitters = _parts(parts["normalizer"]), _parts(parts["pre_tokenizer"])
        names, kinds = [part["type"] for part in normalizers], [part["type"] for part in splitters]
        if (
            any(name not in _NORMALIZERS for name in names)
            or not kinds
            or kinds[0] not in _FIRST_SPLITTERS
            or any(kind not in _OTHER_SPLITTERS for kind in kinds)
            or not all(map(_is_independent, parts["added_tokens"]))
        ):
            return None
        return cls(
            han=any(part.get("handle_chinese_chars") for part in normalizers),
            fine=kinds == ["BertPreTokenizer"] and not any(name in _COMPOSING for name in names),
            lower=any(part["type"] == "Lowercase" or part.get("lowercase") for part in normalizers),
            added=[token["content"] for token in parts["added_tokens"]],
        )

    def cut(self, texts: Sequence[str]) -> Chunks:
        """Return the chunks of texts; raises DataError for a text that is not Unicode."""
        try:
            encoded = [self._spaced(text).encode() for text in texts]
        except UnicodeEncodeError:
            raise DataError("a text holds half of a surrogate pair, expected Unicode") from None
        joined = b"".join(encoded)
        read = np.frombuffer(joined, np.uint8)
        kinds = _COARSE
        if self._fine and not self._has_added(joined):
            lowered = _LOWER[read] if self._lower else read
            if not (self._lower and self._has_added(lowered.data)):
                read, kinds = lowered, _FINE
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return _divide(read, np.concatenate([[0], np.cumsum(lengths)]), kinds)


def _divide(read: Bytes, offsets: NDArray[np.int64], table: Bytes) -> Chunks:
    """Return the chunks of texts, which are `read[offsets[i]:offsets[i + 1]]`, by the kinds in `table`."""
    import pyarrow as pa

    kinds = table[read]
    is_word = kinds == _WORD
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1]
    firsts = offsets[:-1][offsets[:-1] < len(read)]
    begins[firsts] = is_word[firsts]
    begins |= kinds == _MARK
    in_chunk = kinds != _BORDER
    data = read[in_chunk]
    borders = np.append(np.flatnonzero(begins[in_chunk]), len(data))
    buffers = [None, pa.py_buffer(borders), pa.py_buffer(data)]
    found = pa.Array.from_buffers(pa.large_string(), len(borders) - 1, buffers).dictionary_encode()
    codes = np.asarray(np.from_dlpack(found.indices), np.int32)  # `to_numpy` imports pandas
    places = np.searchsorted(np.flatnonzero(begins), offsets)
    return Chunks(found.dictionary.to_pylist(), codes, places, table is _FINE)


def _spacer() -> Callable[[str], str]:
    """Return a function that puts spaces around the Chinese characters of a text."""
    search, substitute = re.compile(f"[{_MAY_BE_HAN}]").search, re.compile(f"[{_HAN}]").sub
    return lambda text: text if text.isascii() or not search(text) else substitute(r" \g<0> ", text)


def _is_independent(token: dict[str, Any]) -> bool:
    """Return whether an added token is found in a chunk exactly where it is found in the whole text."""
    content = token["content"]
    return (
        content.isascii()
        and not re.search(r"\s", content)
        and not (token["normalized"] or token["single_word"])
    )


def _parts(component: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the parts of a sequence, or the one part, or none."""
    if component is None:
        return []
    nested = component.get("normalizers", component.get("pretokenizers"))
    return [component] if nested is None else [part for each in nested for part in _parts(each)]
