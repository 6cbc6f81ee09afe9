"""Each method of training pairs against its definition, by slow loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.adaptation.kinds.gap_sentences import GapSentences, chosen_sentences
from embedkit.adaptation.kinds.inverse_cloze import InverseCloze
from embedkit.adaptation.kinds.neighbours import Neighbours
from embedkit.adaptation.kinds.title import Title
from embedkit.adaptation.passage import Passage, in_one_line, passage_of, sentences_with_space
from embedkit.adaptation.words import placed_words
from embedkit.data.text.record import Record
from embedkit.data.text.sentences import sentences
from embedkit.errors import UsageError
from embedkit.spec import parse
from tests.adaptation.test_words import by_table
from tests.contract.test_pair_methods import SENTENCES

texts = st.lists(st.sampled_from(SENTENCES), min_size=2, max_size=12).map(" ".join)
BODY = Passage("Body", " ".join(SENTENCES), "Body ")


def pairs(method, passage, seed=0):
    return list(method.pairs_of(passage, np.random.default_rng(seed)))


def characters(text):
    return Counter("".join(text.split()))


@given(st.text(st.one_of(st.sampled_from(' .!?。！？\n"”)」aB中'), st.characters(codec="utf-8"))))
def test_sentences_with_their_space_are_the_text(text):
    parts = sentences_with_space(text)
    assert "".join(parts) == text.lstrip()
    assert [part.strip() for part in parts] == list(sentences(text))


@given(text=texts, share=st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_chosen_sentences_are_the_greedy_best_by_rouge_l(text, share):
    parts = sentences_with_space(text)
    words = [[each.word for each in placed_words(part)] for part in parts]

    def f1(chosen):
        one = [word for place in sorted(chosen) for word in words[place]]
        other = [word for place in range(len(words)) if place not in chosen for word in words[place]]
        common = by_table(one, other)
        precision, recall = common / len(one), common / max(len(other), 1)
        return 2 * precision * recall / (precision + recall) if common else 0

    total, chosen = sum(map(len, words)), []
    while not chosen or (
        sum(len(words[place]) for place in chosen) < share * total and len(chosen) < len(words) - 1
    ):
        scores = {place: f1([*chosen, place]) for place in range(len(words)) if place not in chosen}
        best = max(scores.values())
        chosen.append(next(place for place, score in scores.items() if score >= best * (1 - 1e-12)))
    if 2 * sum(len(words[place]) for place in chosen) > total:
        chosen = [place for place in range(len(words)) if place not in chosen]
    assert chosen_sentences(parts, share) == sorted(chosen)


@given(text=texts, share=st.floats(0.01, 0.99))
def test_gap_sentences_lose_nothing(text, share):
    for query, positive in pairs(GapSentences(share=share), Passage("", text)):
        assert characters(query) + characters(positive) == characters(text)
        assert all(part in map(in_one_line, sentences(text)) for part in sentences(query))
        assert len(placed_words(query)) <= len(placed_words(positive))


def test_a_rate_of_one_leaves_no_word_of_the_query_in_the_document():
    for text in (" ".join(SENTENCES[:3]), "".join(SENTENCES[3:5])):
        ((query, positive),) = pairs(
            GapSentences(drop=1), Passage("T", f"{text} Entirely new words here.", "T ")
        )
        assert positive.startswith("T ")
        asked = {each.word for each in placed_words(query)}
        assert not asked & {each.word for each in placed_words(positive[2:])}


def test_words_of_the_query_are_dropped_at_the_rate():
    passage = Passage("", " ".join(f"Word{n} other{n} thing{n} matter{n} a b c d." for n in range(400)))
    shared = dropped = 0
    for query, positive in pairs(GapSentences(drop=0.3, pairs=100), passage):
        asked = {each.word for each in placed_words(query)}
        shared, dropped = (
            shared + 4,
            dropped + len(set("abcd") - {each.word for each in placed_words(positive)}),
        )
        assert set("abcd") <= asked
    assert shared >= 48
    expected, spread = 0.3 * shared, (0.3 * 0.7 * shared) ** 0.5
    assert abs(dropped - expected) < 4 * spread


@given(text=texts, seed=st.integers(0, 9), number=st.integers(1, 20))
def test_inverse_cloze_takes_different_sentences_out(text, seed, number):
    made = pairs(InverseCloze(keep=0, pairs=number), Passage("", text), seed)
    parts = list(sentences(text))
    assert len(made) == min(number, len(parts)) * (len(parts) > 1)
    for query, positive in made:
        assert query in map(in_one_line, parts)
        assert characters(query) + characters(positive) == characters(text)
    assert not Counter(query for query, _ in made) - Counter(map(in_one_line, parts))


def test_inverse_cloze_keeps_the_sentence_with_its_probability():
    made = [pair for seed in range(2000) for pair in pairs(InverseCloze(keep=0.1), BODY, seed)]
    kept = sum(characters(positive) == characters(f"Body {BODY.text}") for _, positive in made)
    assert abs(kept - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5
    assert {query for query, _ in made} == set(map(in_one_line, sentences(BODY.text)))
    assert pairs(InverseCloze(keep=1), BODY)[0][1] == f"Body {BODY.text}"


@given(text=texts, seed=st.integers(0, 9), least=st.floats(0.01, 0.5), more=st.floats(0, 0.5))
def test_neighbours_are_spans_of_the_lengths_asked_for(text, seed, least, more):
    words = len(placed_words(text))
    for query, positive in pairs(Neighbours(least, least + more, pairs=3), Passage("", text), seed):
        assert query in in_one_line(text)
        assert positive in text
        for span in (query, positive):
            most = max(5, round(least * words), round((least + more) * words))
            assert max(5, round(least * words)) <= len(placed_words(span)) <= most


def test_titles_are_fields_or_headings():
    record = Record("a", "Heart The heart pumps.", {"title": "Heart"})
    assert pairs(Title(), passage_of(record)) == [("Heart", "The heart pumps.")]
    # a reader joins no title where the text field was named
    apart = Record("a", "Hearty meals.", {"title": "Heart"})
    assert passage_of(apart) == Passage("Heart", "Hearty meals.", "")
    below = Record("f.md:3", "It pumps.", {"headings": "Body > Heart"}, "Body > Heart")
    assert passage_of(below) == Passage("Body > Heart", "It pumps.", "Body > Heart\n\n")
    assert pairs(Title(), passage_of(below)) == [("Body > Heart", "It pumps.")]
    assert pairs(Title(headings="first"), passage_of(below)) == [("Body", "It pumps.")]
    assert passage_of(Record("f", "It pumps.", {"headings": "Body"})).document("x") == "x"
    assert pairs(Title(), passage_of(Record("a", "No title here.", {"headings": ["no", "text"]}))) == []
    assert passage_of(Record("a", "x", {"title": "T", "headings": "H"})).title == "T"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gap-sentences:share=1", "gap-sentences:share=1: share=1 is not between 0 and 1"),
        ("gap-sentences:drop=2", "gap-sentences:drop=2: drop=2 is not a rate from 0 to 1"),
        ("inverse-cloze:keep=-1", "inverse-cloze:keep=-1: keep=-1 is not a probability from 0 to 1"),
        ("inverse-cloze:pairs=0", "inverse-cloze:pairs=0: pairs=0 is not at least 1"),
        ("neighbours:least=.6", "neighbours:least=.6: least=0.6 and most=0.5 are not shares that rise"),
        ("neighbors", "unknown pair kind 'neighbors'; did you mean neighbours?"),
        ("title:pairs=2", "title:pairs=2: unknown setting 'pairs'"),
    ],
)
def test_wrong_settings_are_one_line(spec, message):
    with pytest.raises(UsageError) as error:
        parse("pair", spec)
    assert str(error.value).startswith(message)
