"""Places of words and snippets, against the text itself."""

from hypothesis import given
from hypothesis import strategies as st

from embedkit.indexing.lexical.analysis import Analysis
from embedkit.serving.highlights import places_of, snippet_of

WORDS = st.lists(st.sampled_from(["folder", "tree", "a", "目录", "😀", "long" * 20, "\n"]), max_size=60)


@given(WORDS, st.integers(1, 80))
def test_a_snippet_is_a_part_of_the_text_and_its_places_are_those_of_the_words(words, width):
    text = " ".join(words)
    places = places_of(text, {"folder", "tree", "目录"}, Analysis())
    assert {text[start:end] for start, end in places} <= {"folder", "tree", "目录"}
    assert len(places) == sum(text.split().count(word) for word in ("folder", "tree", "目录"))
    part = snippet_of(text, places, width)
    assert part.text == text[part.start : part.start + len(part.text)]
    assert len(part.text) <= width
    for start, end in part.places:
        assert text[part.start + start : part.start + end] in "folder tree 目录"
        assert any(first <= part.start + start and part.start + end <= last for first, last in places)


def test_the_part_with_most_words_is_chosen():
    text = "folder " + "x " * 200 + "folder tree folder " + "y " * 200
    part = snippet_of(text, places_of(text, {"folder", "tree"}, Analysis()), 60)
    assert [part.text[start:end] for start, end in part.places] == ["folder", "tree", "folder"]


def test_a_short_text_is_whole():
    assert snippet_of("a folder", [(2, 8)], 100) == ("a folder", 0, [(2, 8)])


def test_pairs_of_a_run_without_spaces_are_joined():
    text = "复制整个目录树"
    assert places_of(text, {"目录", "录树"}, Analysis()) == [(4, 7)]
