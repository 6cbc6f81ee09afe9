"""Division of texts into chunks that a tokenizer reads independently of each other.

Most tokenizers split at spaces before anything else, so that the tokens of a text are the tokens of its
chunks, one chunk after the other. Words repeat, so each distinct chunk is tokenised only once. `chunker`
returns a division only for tokenizers whose parts are all known to allow it:

    normalizer       none, BertNormalizer, Lowercase, StripAccents, NFC, NFD, NFKC, NFKD, or several of them
    pre-tokenizer    BertPreTokenizer, Whitespace, WhitespaceSplit, or a sequence that begins with one of them
    added tokens     only those that are looked for as they are written, in ASCII without whitespace, and
                     also within words

Chunks end only at the four characters that all of these treat as a border: space, tab, line feed and carriage
return. BertNormalizer also puts spaces around every Chinese character, so each is a chunk of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Chunker = Callable[[str], list[str]]

_NORMALIZERS = ("BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD")
_FIRST_SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
_OTHER_SPLITTERS = (*_FIRST_SPLITTERS, "Punctuation", "Digits")

_BORDER = re.compile(r"[ \t\n\r]+")
_HAN = re.compile(  # the characters that BERT puts spaces around
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
)


def chunker(tokenizer: Tokenizer) -> Chunker | None:
    """Return the function that divides a text into chunks; None where the tokenizer needs the whole text."""
    parts: dict[str, Any] = orjson.loads(tokenizer.to_str())
    normalizers, splitters = _parts(parts["normalizer"]), _parts(parts["pre_tokenizer"])
    kinds = [part["type"] for part in splitters]
    if (
        any(part["type"] not in _NORMALIZERS for part in normalizers)
        or not kinds
        or kinds[0] not in _FIRST_SPLITTERS
        or any(kind not in _OTHER_SPLITTERS for kind in kinds)
        or not all(map(_is_plain, parts["added_tokens"]))
    ):
        return None
    first = normalizers[0] if normalizers else {}
    return _split_han if first.get("handle_chinese_chars") else split


def split(text: str) -> list[str]:
    """Return the chunks between spaces, tabs and line ends."""
    if text.isprintable():  # it then has no whitespace but spaces
        return text.split()
    return [chunk for chunk in _BORDER.split(text) if chunk]


def _split_han(text: str) -> list[str]:
    return split(text if text.isascii() else _HAN.sub(r" \g<0> ", text))


def _is_plain(token: dict[str, Any]) -> bool:
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
