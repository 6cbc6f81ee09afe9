"""The tokenizer of e5 against sentencepiece, which has the rules by which the model was trained."""

from __future__ import annotations

import random
import struct
import unicodedata
from typing import Any

import orjson
import pytest
from tokenizers import Tokenizer

from embedkit.embedding.e5.packed_file import PackedFile
from embedkit.embedding.e5.tokenizer import tokenizer_json

ODD = [
    "全角ＡＢＣ１２３，．！　空格", "ｶﾞｷﾞｸﾞ ﾊﾟﾋﾟ ﾊﾞ", "①②③ ㈠㊣ ㎏ ㍿ ℃ № ™ ½ ² ﬁ ﬀ", "株式会社㍿～〜",
    "Ａ\u0301ｅ\u0300", "e\u0301 a\u0302\u0301 o\u0308\u0304", unicodedata.normalize("NFD", "được những ngữ"),
    unicodedata.normalize("NFD", "한국어 문장 각각"), "ㄱㄴㄷ ﾡￂ", "𝐀𝑩𝒞 𝟘𝟙 ℌ ℵ", "稣 ấ 𠮷 㐂 䶮", "ไทย น้ำ ກຳ",
    "\ufeffBOM and\u00a0spaces\u2003of\u3000all kinds  ", "zero\u200bwidth soft\u00adhyphen \u2060",
    "  tab\tnew\nline\r\ncarriage\u2028line\u2029paragraph\u0085", "control\x01\x02\x1f\x7f characters",
    "שָׁלוֹם עֲלֵיכֶם", "بِسْمِ ٱللَّهِ ٱلرَّحْمَٰنِ", "﷽ ﷲ ﻼ ﻙ", "क़ख़ ड़ढ़ हिन्दी", "বাংলা \u09c7\u09be",
    "👍🏽 🇩🇪 ❤️", "▁▁underline▁", "", " ", "\u200b", "ſ ŉ ǆ ĳ Ω Å K", "\ufffd?",
]  # fmt: skip
CHARACTERS = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]


@pytest.fixture(scope="module")
def tokenizer(file: PackedFile) -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json(file).decode())


@pytest.fixture(scope="module")
def reference() -> Any:
    """Return sentencepiece's normalizer by the rules of the model."""
    library = pytest.importorskip("sentencepiece")
    return library.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=True
    )


@pytest.fixture(scope="module")
def newer(file: PackedFile, reference: Any) -> set[str]:
    """Characters with another rule in today's sentencepiece: Unicode has most of them since 2018."""
    rules = file.characters
    changed = {each for each in CHARACTERS if reference.normalize(f"_{each}_")[1:-1] != rules.get(each, each)}
    assert len(changed) < 250
    for encoding in ("gbk", "big5", "shift_jis", "euc_kr", "cp1252", "koi8_r"):
        assert not any(each.encode(encoding, "ignore") for each in changed)
    return changed


def test_every_character_is_normalised_as_by_sentencepiece_in_every_form(
    tokenizer: Tokenizer, reference: Any, newer: set[str]
) -> None:
    normalize = tokenizer.normalizer.normalize_str
    wrong = []
    for character in CHARACTERS:
        for form in {unicodedata.normalize(name, character) for name in ("NFC", "NFD", "NFKC", "NFKD")}:
            if newer.isdisjoint(form) and normalize(f"a {form}b") != reference.normalize(f"a {form}b"):
                wrong.append(character)
    assert set(wrong) <= {"\U00011938"}  # a letter of Unicode 13


@pytest.mark.parametrize(  # Hebrew, Arabic, Korean, Thai, wide and narrow characters
    ("first", "last"),
    [(0x591, 0x5F5), (0x61D, 0x653), (0x1100, 0x1200), (0xE01, 0xE3A), (0xFF00, 0xFFA0)],
)
def test_runs_of_letters_and_marks_are_normalised_as_by_sentencepiece(
    tokenizer: Tokenizer, reference: Any, newer: set[str], first: int, last: int
) -> None:
    chosen = random.Random(first)
    letters = [each for each in map(chr, range(first, last)) if each not in newer]
    for _ in range(2000):
        text = "".join(chosen.choices(letters, k=chosen.randint(1, 6)))
        assert tokenizer.normalizer.normalize_str(text) == reference.normalize(text), ascii(text)


def test_odd_texts_have_the_tokens_of_sentencepiece(
    file: PackedFile, tokenizer: Tokenizer, reference: Any, newer: set[str]
) -> None:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=_model(file))
    for text in ODD:
        if newer.isdisjoint(text):
            expected = [0, *model.encode(reference.normalize(text)), 2]
            assert tokenizer.encode(text).ids == expected, text


def _model(file: PackedFile) -> bytes:
    """Return the pieces as a sentencepiece model without rules, in the bytes of protocol buffers."""
    special = set(file.special) | {len(file.pieces) - 1}
    pieces = []
    for place, (text, score) in enumerate(file.pieces):
        kind = 2 if place == file.special.unknown else 3 if place in special else 1
        pieces.append(
            _field(1, _field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind]))
        )
    ids = zip((40, 41, 42, 43), (file.special.unknown, 0, 2, 1), strict=True)
    trainer = b"\x18\x01" + b"".join(_varint(number << 3) + _varint(value) for number, value in ids)
    rules = _field(1, b"identity") + b"\x18\x01\x20\x01\x28\x01"  # a space before, no more than one, escaped
    return b"".join(pieces) + _field(2, trainer) + _field(3, rules)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value > 0x7F else bytes([value])


def test_special_tokens_and_prompts_stand_where_the_model_expects_them(tokenizer: Tokenizer) -> None:
    pair = tokenizer.encode("你好", "世界")
    assert [pair.tokens[0], pair.tokens[-1], pair.tokens.count("</s>")] == ["<s>", "</s>", 3]
    assert tokenizer.encode("passage: 你好").tokens[1:4] == ["▁passage", ":", "▁"]
    assert tokenizer.token_to_id("<mask>") == 250001


def test_the_tokenizer_has_the_same_bytes_every_time(file: PackedFile) -> None:
    content = tokenizer_json(file)
    assert content == tokenizer_json(file)
    assert orjson.loads(content)["model"]["vocab"][:2] == [["<s>", 0.0], ["<pad>", 0.0]]
