"""The precompiled map of characters, read by the library and by a slow walk along the trie."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from tokenizers.normalizers import Precompiled

from embedkit.embedding.e5.character_map import character_map

CHARACTERS = st.characters(min_codepoint=1, exclude_categories=["Cs"])
RULES = st.dictionaries(CHARACTERS, st.text(CHARACTERS, max_size=4), min_size=1, max_size=40)


def looked_up(table: bytes, character: str) -> str:
    """Return a character's replacement by the rules of Darts-clone, or the character."""
    size = struct.unpack_from("<I", table)[0]
    units, texts = struct.unpack_from(f"<{size // 4}I", table, 4), table[4 + size :]

    def children(unit: int) -> int:
        return (unit >> 10) << ((unit & 1 << 9) >> 6)

    place = children(units[0])
    for byte in character.encode():
        place ^= byte
        if units[place] & (1 << 31 | 0xFF) != byte:
            return character
        unit = units[place]
        place ^= children(unit)
    if not unit >> 8 & 1:
        return character
    start = units[place] & (1 << 31) - 1
    return texts[start : texts.index(b"\0", start)].decode()


@given(RULES, CHARACTERS)
def test_every_character_becomes_what_its_rule_says(rules: dict[str, str], other: str) -> None:
    table = character_map(rules)
    map = Precompiled(table)
    for character in [*rules, other]:
        expected = rules.get(character, character)
        assert looked_up(table, character) == expected
        assert map.normalize_str(character) == expected


def test_the_table_is_the_same_in_any_order_of_rules_with_the_same_texts() -> None:
    rules = {"Ａ": "A", "①": "1", "ﬁ": "fi", "\u200b": ""}
    assert Precompiled(character_map(rules)).normalize_str("Ａﬁ①\u200bx") == "Afi1x"
    assert character_map(rules) == character_map(dict(rules.items()))
