"""Phrases, required and excluded words, as people type them; what is none of these is searched as it is."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.operators import literal_query, parse_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

PLAIN = LexicalSettings("none")
META = VectorMeta(8)


@pytest.mark.parametrize(
    ("text", "plain", "required", "excluded"),
    [
        ("red apples", "red apples", [], []),
        ('"exact phrase"', "exact phrase", ["exact phrase"], []),
        ('find "exact phrase" here', "find exact phrase here", ["exact phrase"], []),
        ("“exact phrase” here", "exact phrase here", ["exact phrase"], []),
        ('“one" two', "one two", ["one"], []),
        ('"a b" "c d"', "a b c d", ["a b", "c d"], []),
        ("+red apples", "red apples", ["red"], []),
        ("apples -red", "apples", [], ["red"]),
        ("-red apples", "apples", [], ["red"]),
        ('apples -"dark red"', "apples", [], ["dark red"]),
        ('apples +"dark red"', "apples dark red", ["dark red"], []),
        ("apples -“dark red”", "apples", [], ["dark red"]),
        ("+red -green blue", "red  blue", ["red"], ["green"]),
        ("+state-of-the-art", "state-of-the-art", ["state of the art"], []),
        ("nets -e-mail", "nets", [], ["e mail"]),
        ("tea +milk, -sugar.", "tea milk,", ["milk"], ["sugar"]),
        ("C++ -Java", "C++", [], ["Java"]),
        ("人工 -智能", "人工", [], ["智能"]),
        ('"人工智能" 你好', "人工智能 你好", ["人工智能"], []),
        ("café +naïve", "café naïve", ["naïve"], []),
        ("a\t+b\n-c", "a\tb", ["b"], ["c"]),
    ],
)
def test_operators(text, plain, required, excluded):
    query = parse_query(text, PLAIN)
    assert query.text == plain
    assert query.terms == PLAIN.query_terms(plain)
    assert query.required == tuple(tuple(PLAIN.query_terms(each)) for each in required)
    assert query.excluded == tuple(tuple(PLAIN.query_terms(each)) for each in excluded)


@pytest.mark.parametrize(
    "text",
    [
        "C++",
        "-5 degrees",
        "+49 30 1234",
        "-.5 or -_x",
        "e-mail",
        "a+b=c",
        "rock 'n' roll",
        "5 - 3",
        "+",
        "-",
        "+ +",
        "-- --help",
        'an "unbalanced quote',
        'size 5"',
        '5" or 6" screens',
        '""',
        '" "',
        '-""',
        '-"!"',
        "",
        "!?",
        "it's “half open",
        'the"quoted"word',
        "don't -",
    ],
)
def test_other_signs_and_quotes_mean_nothing(text):
    query = parse_query(text, PLAIN)
    assert query == literal_query(text, PLAIN)
    assert (query.required, query.excluded) == ((), ())


@pytest.mark.parametrize("text", ["-red", '-"dark red"', "-red -green", " -red ", '-red -"a b"'])
def test_exclusions_alone_are_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_query(text, PLAIN)
    expected = f"the query {text!r} only excludes words; add a word to search for"
    assert str(caught.value) == expected


@given(st.text('+-"“” a1人!'))
@example('+"')
@example('-"“')
def test_every_query_is_read_or_refused_in_one_line(text):
    try:
        query = parse_query(text, PLAIN)
    except UsageError:
        assert "-" in text
        return
    assert query.terms == PLAIN.query_terms(query.text)
    assert all(query.required + query.excluded)
    assert literal_query(text, PLAIN).terms == PLAIN.query_terms(text)


WORDS = ["a", "b", "c", "人工智能", "智能", "人", "工人", "A-b", "\u0301", "running"]
sentences = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)


def holds(terms, phrase):
    """Whether these terms hold those of a phrase one after another; a single Chinese character at any place
    of the phrase stands for each pair that begins with it.
    """
    return any(
        all(
            each == wanted or (len(wanted) == 1 and wanted > "\u4e00" and each[0] == wanted)
            for each, wanted in zip(terms[at:], phrase, strict=False)
        )
        for at in range(len(terms) - len(phrase) + 1)
    )


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefghi"), sentences, min_size=1), min_size=1, max_size=3),
    st.sets(st.sampled_from("abcdefghi"), max_size=3),
    st.lists(sentences, min_size=1, max_size=4),
)
def test_phrases_are_those_of_a_scan_of_all_texts(tmp_path_factory, batch, parts, gone, phrases):
    path, there = tmp_path_factory.mktemp("phrases") / "x.idx", {}
    build_index(path, META, [batch(parts[0] | {"z": "something"})])
    for part in parts[1:]:
        add(path, META, [batch(part)])
    for part in parts:
        there |= part
    delete(path, sorted(gone))
    index, own = Index.open(path), LexicalSettings()
    for text in phrases:
        phrase = own.phrase_terms(text)
        if not phrase:
            continue
        found = index.lexical.holding(phrase)
        live = {
            document["id"]: row
            for row, document in enumerate(index.take(np.arange(index.stored_rows), ["id"]))
            if index.find([document["id"]]).get(document["id"]) == row
        }
        expected = {
            id for id, each in there.items() if id not in gone and holds(own.document_terms(each), phrase)
        }
        assert {id for id, row in live.items() if found[row]} == expected


@pytest.fixture
def idx(folder, batch):
    """An index of two segments, with a document that was deleted and one that was replaced."""
    build_index(
        "x.idx",
        META,
        [
            batch(
                {
                    "a": "The quick brown fox",
                    "b": "brown quick the fox",
                    "old": "the quick brown hare",
                    "n": "the quick brown old text",
                }
            )
        ],
    )
    add(
        "x.idx", META, [batch({"c": "quick, brown!", "n": "slow", "d": "深度学习 model 人工智能", "e": None})]
    )
    delete("x.idx", ["old"])
    return Index.open("x.idx")


def found(index, text):
    typed = parse_query(text, index.manifest.lexical)
    (line,) = hits(index, None, Query(10), texts=[typed])
    (fused,) = hits(index, np.ones((1, 8), np.float32), Query(10, fusion=Fusion(0.5)), texts=[typed])
    ids = {hit.document["id"] for hit in line}
    assert ids == {hit.document["id"] for hit in fused if hit.lexical}
    return "".join(sorted(ids))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"quick brown"', "ac"),
        ('"QUICK browns"', "ac"),
        ('"brown quick"', "b"),
        ('quick -"quick brown"', "b"),
        ("quick -fox", "c"),
        ("quick +fox", "ab"),
        ("+slow", "n"),
        ('"the quick brown fox"', "a"),
        ('"the quick brown fox jumps"', ""),
        ('"quick brown" -fox', "c"),
        ('"学习"', "d"),
        ('"深度学习"', "d"),
        ('"习"', "d"),
        ('"度习"', ""),
        ('"学习 model"', "d"),
        ('"深度学习 model 人工智能"', "d"),
        ('"model 人工"', "d"),
        ('"model 智能"', ""),
        ("学习 -人", ""),
    ],
)
def test_phrases_across_segments_and_deleted_documents(idx, text, expected):
    assert found(idx, text) == expected
    assert found(compact("x.idx"), text) == expected


def test_a_query_of_signs_alone_finds_nothing_by_words(idx):
    for text in ("+", "-", '""', "!?"):
        assert found(idx, text) == ""
