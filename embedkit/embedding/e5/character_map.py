"""Rules that replace characters, as the table that the `tokenizers` library calls a precompiled map.

The table is a trie over the UTF-8 bytes of the characters, stored as a double array (J. Aoe, 1989) in the
form of Darts-clone, which sentencepiece uses. A unit has 32 bits: the lowest 8 are the byte that leads to it,
and the upper 22 the distance from its place to its children's. A child's place is the unit's place XOR the
distance XOR the child's byte. A unit that ends a character has bit 8, and its child of byte 0 contains the
place of the replacement among the texts that follow the trie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

import numpy as np

_ENDS = 1 << 8  # a character ends here
_FAR = 1 << 9  # the distance is a multiple of 256
_HOLDS_PLACE = 1 << 31
_NEAR_LIMIT = 1 << 21  # distances from here on are stored as multiples of 256
_BYTES = 256


def character_map(rules: Mapping[str, str]) -> bytes:
    """Return the table for rules that map single characters to texts, which may be empty.

    >>> from tokenizers.normalizers import Precompiled
    >>> Precompiled(character_map({"Ａ": "A", "\\u200b": ""})).normalize_str("Ａ\\u200bＢ")
    'AＢ'
    """
    texts, places = _joined(rules.values())
    keys = {character.encode(): places[text] for character, text in rules.items()}
    inner = sorted({key[:length] for key in keys for length in range(len(key))})
    blocks = dict(zip(inner, count(_BYTES, _BYTES), strict=False))  # each prefix has its children in a block
    values = _BYTES * (len(inner) + 1)  # where the places of the replacements begin
    units = np.zeros(values + -(-len(keys) // _BYTES) * _BYTES, dtype="<u4")
    units[0] = _distance(0, blocks[b""])
    for prefix in inner[1:]:
        at = blocks[prefix[:-1]] ^ prefix[-1]
        units[at] = _distance(at, blocks[prefix]) | prefix[-1]
    for value, (key, place) in enumerate(sorted(keys.items()), values):
        at = blocks[key[:-1]] ^ key[-1]
        units[at] = _distance(at, value) | _ENDS | key[-1]
        units[value] = _HOLDS_PLACE | place
    return units.nbytes.to_bytes(4, "little") + units.tobytes() + texts


def _joined(texts: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    """Return the distinct texts, each ended by a zero byte, and the place of each."""
    content, places = bytearray(), {}
    for text in dict.fromkeys(texts):
        places[text] = len(content)
        content += text.encode() + b"\0"
    return bytes(content), places


def _distance(start: int, end: int) -> int:
    """Return the bits of a unit for the distance between two places."""
    distance = start ^ end
    return distance << 10 if distance < _NEAR_LIMIT else (distance >> 8) << 10 | _FAR
