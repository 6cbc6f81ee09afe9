"""The tokenizer of multilingual-e5-small as `tokenizer.json`, from its pieces and its rules for characters.

It gives the tokens of sentencepiece with the rules `nmt_nfkc`, by which the model was trained. The
`tokenizers` library looks up whole clusters of a letter and its marks in a precompiled map: it replaces a
short cluster by the rule of its first character, which loses the marks, and joins no letters and marks in a
long one. Therefore:

1. a control character, which the rules remove, is inserted before every mark, so that every cluster is one
   character;
2. the map replaces characters;
3. the control character is inserted between marks of Hebrew and Arabic, whose order sentencepiece keeps;
4. NFC joins letters and marks, as further rules of sentencepiece do;
5. the control characters, repeated spaces, and spaces at the ends are removed.

Two cases differ. Several marks on a letter that are not in canonical order, and marks after a letter that
already has some, stay as they are in sentencepiece, and get the canonical form here. Characters that Unicode
has added since the model was trained have no rules.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from embedkit.embedding.e5.character_map import character_map
from embedkit.embedding.e5.packed_file import PackedFile

_SPACE = "▁"  # a space in pieces
_APART = "\x01"
_BEFORE_MARKS = r"(?<=.)(?=[\p{M}\x{200c}\x{200d}\x{ff9e}\x{ff9f}])"
_ORDERED_MARK = r"[\p{M}&&[\x{591}-\x{74a}]]"  # of Hebrew, Arabic and Syriac
_SUPERFLUOUS = _APART + "|^ +| +$| +(?= )"


def tokenizer_json(file: PackedFile) -> bytes:
    """Return the content of `tokenizer.json`, the same bytes every time.

    The standard library writes it, whose numbers look the same in every version.
    """
    names = [text for text, _ in file.pieces]
    start, end = names[file.special.start], names[file.special.end]
    added = [*sorted(file.special), len(names) - 1]  # the last piece is <mask>
    spaces = {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": "always", "split": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(place, names[place]) for place in added],
        "normalizer": {"type": "Sequence", "normalizers": normalizers(file.characters)},
        "pre_tokenizer": spaces,
        "post_processor": _template(start, end, file),
        "decoder": spaces,
        "model": {
            "type": "Unigram",
            "unk_id": file.special.unknown,
            "vocab": file.pieces,
            "byte_fallback": False,
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def normalizers(rules: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the steps that normalise a text, as the module's docstring lists them."""
    return [
        _replace(_BEFORE_MARKS, _APART),
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(character_map(rules)).decode()},
        _replace(f"(?<={_ORDERED_MARK})(?={_ORDERED_MARK})", _APART),
        {"type": "NFC"},
        _replace(_SUPERFLUOUS, ""),
    ]


def _replace(pattern: str, content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _added(place: int, name: str) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": name == "<mask>", "rstrip": False, "normalized": False}
    return {"id": place, "content": name, **flags, "special": True}


def _template(start: str, end: str, file: PackedFile) -> dict[str, object]:
    """Return the step that puts special tokens around one text, and around and between two."""
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    opened, closed = ({"SpecialToken": {"id": name, "type_id": 0}} for name in (start, end))
    places = {start: file.special.start, end: file.special.end}
    tokens = {name: {"id": name, "ids": [place], "tokens": [name]} for name, place in places.items()}
    return {
        "type": "TemplateProcessing",
        "single": [opened, first, closed],
        "pair": [opened, first, closed, closed, second, closed],
        "special_tokens": tokens,
    }
