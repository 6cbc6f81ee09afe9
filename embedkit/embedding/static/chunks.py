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

BertPreTokenizer also divides at every punctuation mark. After it, the words and the marks of plain text
(printable ASCII without added tokens) are chunks of their own, of which fewer are distinct.
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

_BORDER = " \t\n\r"
_HAN = (  # the characters that BERT puts spaces around
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_WORDS_AND_MARKS = re.compile("[0-9A-Za-z]+|[^0-9A-Za-z ]")


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
        or not all(map(_is_independent, parts["added_tokens"]))
    ):
        return None
    coarse = _coarse(han=any(part.get("handle_chinese_chars") for part in normalizers))
    if kinds[0] != "BertPreTokenizer":
        return coarse
    return _finer(coarse, [token["content"] for token in parts["added_tokens"]])


def _coarse(*, han: bool) -> Chunker:
    """Return the chunker that divides at borders, and around Chinese characters if `han`."""
    divide = re.compile(f"[{_HAN}]|[^{_BORDER}{_HAN}]+" if han else f"[^{_BORDER}]+").findall
    single = re.compile(f"[{_HAN}]" if han else "(?!)").search

    def split(text: str) -> list[str]:
        """Return the chunks of a text."""
        if text.isprintable() and not single(text):
            return text.split()  # it then has no whitespace but spaces; this is quicker
        return divide(text)

    return split


def _finer(coarse: Chunker, added: list[str]) -> Chunker:
    """Return the chunker that also divides plain text at marks."""
    has_added = re.compile("|".join(map(re.escape, added)) or "(?!)").search

    def is_plain(text: str) -> bool:
        """Return whether a text has only printable ASCII and no added token."""
        return text.isascii() and text.isprintable() and not has_added(text)

    def divide(text: str) -> list[str]:
        """Return words and marks where the text is plain, and coarser chunks elsewhere."""
        if is_plain(text):
            return _WORDS_AND_MARKS.findall(text)
        chunks: list[str] = []
        for chunk in coarse(text):
            chunks += _WORDS_AND_MARKS.findall(chunk) if is_plain(chunk) else [chunk]
        return chunks

    return divide


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
