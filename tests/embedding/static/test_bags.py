"""Chunks that are tokenised once give the tokens of the whole texts, whatever characters are in them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from embedkit.embedding.static import bags as bags_module
from embedkit.embedding.static.bags import BagReader
from embedkit.embedding.static.chunks import Chunker
from embedkit.errors import DataError
from tests.embedding.static.conftest import LINES, make_tokenizer

ODD = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\ufeff\u200b\u200d\u0338<=A"
    "\x00\x07\x7f\ufffd\u00ad\u0301\u0327\u00a8\uff21ﬁßİıΣς中文㐀豈\U00020000ｱｶﾞ🫀’“-_.,!?@#[]MASKunk"
)
texts = st.lists(
    st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=40), max_size=8
)
words = st.lists(
    st.lists(
        st.sampled_from(
            [
                *" ".join(LINES).split(),
                "[MASK]",
                "a[MASK]b",
                "[UNK]",
                "[mask]",
                "x.y,z!",
                "don't-7",
                "heartless",
                "q" * 120,
            ]
        ),
        max_size=9,
    ).map(" ".join)
)


def expected(tokenizer: Tokenizer, lines: list[str]) -> list[list[int]]:
    return [each.ids for each in tokenizer.encode_batch(lines, add_special_tokens=False)]


def found(reader: BagReader, lines: list[str]) -> list[list[int]]:
    bags = reader.read(lines)
    assert (len(bags.offsets), bags.offsets[-1]) == (len(lines) + 1, len(bags.ids))
    return [
        bags.ids[start:end].tolist() for start, end in zip(bags.offsets[:-1], bags.offsets[1:], strict=True)
    ]


def with_parts(normalizer, splitter) -> Tokenizer:
    tokenizer = make_tokenizer()
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return tokenizer


def with_length(tokenizer: Tokenizer, most: int) -> Tokenizer:
    """Return a tokenizer whose words of more characters are unknown."""
    parts = json.loads(tokenizer.to_str())
    parts["model"]["max_input_chars_per_word"] = most
    return Tokenizer.from_str(json.dumps(parts))


VARIANTS = {
    "bert": make_tokenizer(),
    "cased": with_parts(
        normalizers.BertNormalizer(lowercase=False, strip_accents=False), pre_tokenizers.BertPreTokenizer()
    ),
    "without Chinese": with_parts(
        normalizers.BertNormalizer(handle_chinese_chars=False), pre_tokenizers.BertPreTokenizer()
    ),
    "NFKC": with_parts(
        normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Whitespace()
    ),
    "decomposed": with_parts(
        normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]),
        pre_tokenizers.BertPreTokenizer(),
    ),
    "composed": with_parts(
        normalizers.Sequence([normalizers.Lowercase(), normalizers.NFC()]), pre_tokenizers.BertPreTokenizer()
    ),
    "short words": with_length(make_tokenizer(), 5),
    "bare": with_parts(None, pre_tokenizers.WhitespaceSplit()),
    "punctuation": with_parts(
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
@given(lines=st.one_of(texts, words))
@settings(max_examples=100, deadline=None)
def test_chunks_have_the_tokens_of_the_texts(name, lines):
    tokenizer = VARIANTS[name]
    assert Chunker.of(tokenizer) is not None
    assert found(BagReader(tokenizer), lines) == expected(tokenizer, lines)


@pytest.mark.parametrize("character", sorted(set(ODD)))
def test_every_odd_character_between_words(character):
    lines = [
        f"one{character}two",
        f"{character}one",
        f"one {character} two{character}",
        f"中{character}文",
        f"={character}a",
    ]
    for tokenizer in VARIANTS.values():
        assert found(BagReader(tokenizer), lines) == expected(tokenizer, lines)


@pytest.mark.parametrize("kind", ["unigram", "bytes"])
def test_other_tokenizers_read_whole_texts(kind):
    tokenizer = make_tokenizer(kind)
    assert Chunker.of(tokenizer) is None
    lines = [*LINES, " leading", "two  spaces", ""]
    assert found(BagReader(tokenizer), lines) == expected(tokenizer, lines)


def test_a_token_of_several_words_reads_whole_texts():
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken("the heart", normalized=True)])
    assert Chunker.of(tokenizer) is None
    lines = ["The heart of the heart", "the  heart"]
    assert found(BagReader(tokenizer), lines) == expected(tokenizer, lines)
    assert tokenizer.token_to_id("the heart") in found(BagReader(tokenizer), lines)[0]


@pytest.mark.parametrize(
    ("token", "lines"),
    [
        (AddedToken("river", single_word=True, normalized=False), ["river中 river2飷 river", "a river"]),
        (AddedToken("中文", normalized=False), ["中文句子", "中 文"]),
        (AddedToken("Café", normalized=True), ["cafe Café CAFÉ", "cafés"]),
    ],
)
def test_added_tokens_that_depend_on_what_is_around_them(token, lines):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([token])
    assert found(BagReader(tokenizer), lines) == expected(tokenizer, lines)


@pytest.mark.parametrize("lines", [["MASKé mask"], ["mask"], ["MASK", "a mask"], ["MASKé", "the mask, MASK"]])
def test_letters_made_lower_case_are_no_added_tokens(lines):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken("mask", normalized=False)])
    reader = BagReader(tokenizer)
    for some in (["The MASK-", "MASKÉ"], lines, ["MASK mask"]):
        assert found(reader, some) == expected(tokenizer, some)


def test_words_and_marks_are_chunks_and_texts_are_not_joined():
    chunks = Chunker.of(make_tokenizer()).cut(["The HEART, ", "", "the\theart", "heart", "é心-"])
    assert (chunks.distinct, chunks.fine) == (["the", "heart", ",", "é", "心", "-"], True)
    assert chunks.codes.tolist() == [0, 1, 2, 0, 1, 1, 3, 4, 5]
    assert chunks.offsets.tolist() == [0, 3, 3, 5, 6, 9]
    chunks = Chunker.of(make_tokenizer()).cut(["The HEART,", "a[MASK]b"])
    assert (chunks.distinct, chunks.fine) == (["The", "HEART,", "a[MASK]b"], False)


def test_threads_share_a_reader():
    tokenizer = make_tokenizer()
    lines = [f"heart{number % 50} é{number} the[MASK] {number}"[: 20 - number % 7] for number in range(400)]
    reader, all_ids = BagReader(tokenizer), expected(tokenizer, lines)
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda start: found(reader, lines[start : start + 8]), range(0, 400, 8)))
    assert [ids for block in blocks for ids in block] == all_ids


def test_half_of_a_surrogate_pair_is_one_error():
    for lines in (["a \ud800 b"], ["a", "\udc00"]):
        with pytest.raises(DataError, match="half of a surrogate pair"):
            BagReader(make_tokenizer()).read(lines)


def test_runs_divide_long_texts_only():
    bags = BagReader(make_tokenizer()).read(["a", "", "the heart of the matter", "one two"])
    runs, firsts = bags.runs(2)
    assert runs.lengths.max() <= 2
    assert runs.ids is bags.ids
    np.testing.assert_array_equal(np.add.reduceat(runs.lengths, firsts), bags.lengths)
    np.testing.assert_array_equal(runs.offsets[firsts], bags.offsets[:-1])
    whole, each = bags.runs(100)
    assert whole is bags
    assert each.tolist() == [0, 1, 2, 3]


def test_a_tokenizer_of_characters_without_splitting_reads_whole_texts():
    tokenizer = Tokenizer(models.WordLevel({"a b": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert Chunker.of(tokenizer) is None
    assert found(BagReader(tokenizer), ["a b", "a"]) == [[0], [1]]


def test_the_memory_of_chunks_is_bounded(monkeypatch):
    monkeypatch.setattr(bags_module, "_CHUNKS", 10)
    tokenizer, lines = make_tokenizer(), [f"word{number} heart" for number in range(100)]
    reader = BagReader(tokenizer)
    for start in range(0, 100, 5):
        assert found(reader, lines[start : start + 5]) == expected(tokenizer, lines[start : start + 5])
        assert len(reader._places) <= 10 + 6
    monkeypatch.setattr(bags_module, "_CHARACTERS", 50)
    assert found(reader, ["x" * 200]) == expected(tokenizer, ["x" * 200])
    assert found(reader, LINES) == expected(tokenizer, LINES)


def test_selections_of_bags():
    tokenizer = make_tokenizer()
    bags = BagReader(tokenizer).read([*LINES, "", "☃ one"])
    ids = expected(tokenizer, [*LINES, "", "☃ one"])
    rows = np.array([3, 0, 5, 3])

    def lists(of):
        return [of.ids[a:b].tolist() for a, b in zip(of.offsets[:-1], of.offsets[1:], strict=True)]

    assert lists(bags.take(rows)) == [ids[row] for row in rows]
    assert lists(bags.first(3)) == [each[:3] for each in ids]
    unknown = tokenizer.token_to_id("[UNK]")
    assert any(unknown in each for each in ids)
    assert lists(bags.without(unknown)) == [[i for i in each if i != unknown] for each in ids]
