"""Words with their places, and common subsequences against the usual table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedkit.adaptation.words import (
    common_subsequence_length,
    placed_words,
    places_by_word,
    without_words,
)


def by_table(one: list[str], other: list[str]) -> int:
    """Return the length of the longest common subsequence by dynamic programming."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


few_words = st.lists(st.sampled_from("abcde"), max_size=150)


@given(one=few_words, other=few_words)
def test_the_common_subsequence_is_that_of_the_table(one, other):
    assert common_subsequence_length(places_by_word(one), len(one), other) == by_table(one, other)


@given(one=few_words, other=few_words, chosen=st.sets(st.integers(0, 149)))
def test_places_without_a_word_count_for_nothing(one, other, chosen):
    mask = sum(1 << place for place in chosen)
    places = {word: found & mask for word, found in places_by_word(one).items()}
    left = [word for place, word in enumerate(one) if place in chosen]
    assert common_subsequence_length(places, len(one), other) == by_table(left, other)


def test_words_are_characters_where_no_spaces_are():
    found = placed_words("The HEART, 心脏! naïve हिन्दी")
    assert [each.word for each in found] == ["the", "heart", "心", "脏", "naïve", "हिन्दी"]
    assert [(each.start, each.end) for each in found[1:3]] == [(4, 9), (11, 12)]


def test_words_are_left_out_with_a_space_on_one_side():
    assert without_words("The heart, the old heart beats.", {"the"}) == "heart, old heart beats."
    assert without_words("the heart (old) beats", {"old", "beats"}) == "the heart () "
    assert without_words("心脏把血液输送到全身", {"血", "全"}) == "心脏把液输送到身"


@given(
    text=st.text(st.sampled_from("abc AB.,\n中文字")), gone=st.sets(st.sampled_from(["a", "ab", "中", "b"]))
)
def test_exactly_the_words_to_leave_out_are_gone(text, gone):
    left = [each.word for each in placed_words(without_words(text, gone))]
    assert "".join(left) == "".join(each.word for each in placed_words(text) if each.word not in gone)
