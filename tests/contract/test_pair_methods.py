"""What every method of training pairs keeps to, whatever the documents."""

from __future__ import annotations

from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.adaptation.pairs import PairCounts, make_pairs
from embedkit.adaptation.passage import Passage
from embedkit.adaptation.words import placed_words
from embedkit.data.text.record import Record
from embedkit.spec import kinds, parse

SENTENCES = [
    "The heart pumps the blood through the whole body.",
    "The lungs take in the air, and the blood takes it from there!",
    "Is the blood that comes from the lungs red?",
    "心脏把血液输送到全身的各个器官里去。",
    "肺部从空气里吸收氧气，血液再把氧气带走！",
    "No.\n\nA line that has no end",
]
texts = st.lists(st.sampled_from(SENTENCES), max_size=40).map(" ".join) | st.text(max_size=80)
documents = st.lists(st.tuples(texts, st.sampled_from(["", "Blood", "心脏"])), max_size=5)


def records(found: list[tuple[str, str]]) -> list[Record]:
    """Return documents as readers yield them: the title in front of the text, and as a field."""
    return [
        Record(str(number), f"{title} {text}".strip(), {"title": title})
        for number, (text, title) in enumerate(found)
    ]


def words(text: str) -> set[str]:
    return {each.word for each in placed_words(text)}


@pytest.mark.parametrize("name", kinds("pair"))
@given(found=documents, seed=st.integers(0, 3))
def test_the_words_of_pairs_are_those_of_their_documents(name, found, seed):
    given_, counts = records(found), PairCounts()
    made = list(make_pairs(given_, parse("pair", name), seed=seed, counts=counts))
    by_id = {record.id: record for record in given_}
    for pair in made:
        whole = words(by_id[pair.positive_id].text)
        assert words(pair.query) <= whole
        assert words(pair.positive) <= whole
        assert "" not in (pair.query, pair.positive.strip())
        assert pair.query != pair.positive
        assert pair.query == " ".join(pair.query.split())
    assert len({(pair.query, pair.positive) for pair in made}) == len(made) == counts.pairs
    assert [pair.positive_id for pair in made] == sorted((pair.positive_id for pair in made), key=int)
    assert (counts.documents, counts.pairs + counts.repeats + counts.without) == (len(given_), len(given_))


@pytest.mark.parametrize("name", kinds("pair"))
@given(found=documents, seed=st.integers(0, 3))
def test_pairs_of_a_document_depend_on_the_seed_and_not_on_other_documents(name, found, seed):
    given_ = records(found)
    together = list(make_pairs(given_, parse("pair", name), seed=seed))
    alone = [pair for record in given_ for pair in make_pairs([record], parse("pair", name), seed=seed)]
    unlike = list(dict.fromkeys((pair.query, pair.positive) for pair in alone))
    assert [(pair.query, pair.positive) for pair in together] == unlike
    assert together == list(make_pairs(iter(given_), parse("pair", name), seed=seed))


@pytest.mark.parametrize("name", kinds("pair"))
def test_documents_are_read_as_pairs_are_asked_for(name):
    text = " ".join(SENTENCES[:2])
    endless = (Record(str(n), f"Number {n}. {text}", {"title": f"Number {n}."}) for n in count())
    made = list(islice(make_pairs(endless, parse("pair", name)), 20))
    assert next(endless).id == str(int(made[-1].positive_id) + 1)


@pytest.mark.parametrize("name", kinds("pair"))
def test_a_document_of_no_use_gives_no_pair(name):
    chance = np.random.default_rng(0)
    assert list(parse("pair", name).pairs_of(Passage("", "One."), chance)) == []
    assert list(parse("pair", name).pairs_of(Passage("A title", ""), chance)) == []
    assert parse("pair", name).lack
