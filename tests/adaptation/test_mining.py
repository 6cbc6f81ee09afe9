"""Mined negatives against a search and a choice in plain numpy, whatever the settings."""

from __future__ import annotations

import sqlite3
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.adaptation.mining import MiningSettings, mine
from embedkit.adaptation.questions import Question, judged_questions, paired_questions
from embedkit.data.text.qrels import Judgement
from embedkit.data.text.record import Record
from embedkit.embedding.encoding import describe, encode_batches
from embedkit.embedding.loading import load
from embedkit.errors import DataError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.query import Query, rankings

WORDS = [
    "copy",
    "folder",
    "letter",
    "send",
    "thread",
    "wait",
    "file",
    "tree",
    "socket",
    "server",
    "pipe",
    "signal",
    "clock",
    "queue",
]
TEXTS = [" ".join(words) for words in combinations(WORDS, 4)][::8][:60]  # none has the words of another
TEXTS[7] = TEXTS[3]  # a copy of a positive
DOCUMENTS = [Record(f"d{number}", text, {}) for number, text in enumerate(TEXTS)]
QUESTIONS = [
    Question("a", "copy the whole folder", ("d3", "d11")),
    Question("b", "waiting for threads", ("d20", "missing")),
    Question("c", "send the letter", (), ("send a letter", TEXTS[40])),
]


@pytest.fixture(scope="module")
def encoder():
    """The hashed encoder."""
    return load("hash:dim=64")


@pytest.fixture(scope="module")
def index(encoder, tmp_path_factory):
    """An index of all documents."""
    path = tmp_path_factory.mktemp("mining") / "docs.idx"
    return build_index(path, describe(encoder), encode_batches(encoder, DOCUMENTS))


def expected(encoder, question, settings) -> list[tuple]:
    """Return id and negative ids per positive, by comparing everything with everything."""
    vectors = np.asarray(encoder.encode(TEXTS), np.float64)
    (query,) = np.asarray(encoder.encode([question.text], "query"), np.float64)
    places = [int(name[1:]) for name in question.documents if name != "missing"]
    positives = [(f"d{place}", TEXTS[place], vectors[place]) for place in places]
    given = [np.asarray(encoder.encode([text])[0], np.float64) for text in question.texts]
    positives += [(None, text, vector) for text, vector in zip(question.texts, given, strict=True)]
    order = [place for place in np.argsort(-(vectors @ query), kind="stable") if place not in places]
    found = []
    for name, _, vector in positives:
        similarity = vector @ query
        limit = similarity - max((1 - settings.share) * abs(similarity), settings.margin)
        kept = []
        for place in order[settings.first - 1 : settings.last]:
            near = max(vectors[place] @ other for _, _, other in positives)
            same = TEXTS[place] in {text for _, text, _ in positives}
            if near < settings.duplicate and vectors[place] @ query <= limit and not same:
                kept.append(f"d{place}")
        if kept:
            found.append((name, kept[: settings.negatives]))
    return found


def mined(index, encoder, questions, settings) -> list[list]:
    return [examples for _, examples in mine(index, encoder, questions, settings)]


@given(
    share=st.floats(0.3, 0.99), margin=st.floats(0, 0.5), first=st.integers(1, 30), more=st.integers(0, 40),
    negatives=st.integers(1, 8), duplicate=st.floats(0.4, 0.99),
)  # fmt: skip
def test_negatives_are_those_of_a_comparison_with_everything(
    index, encoder, share, margin, first, more, negatives, duplicate
):
    settings = MiningSettings(negatives, first, first + more, share, margin, duplicate)
    for question, examples in zip(QUESTIONS, mined(index, encoder, QUESTIONS, settings), strict=True):
        found = [(example.positive_id, example.negative_ids) for example in examples]
        assert found == expected(encoder, question, settings)
        for example in examples:
            assert example.negatives == [TEXTS[int(name[1:])] for name in example.negative_ids]
            assert (example.query_id, example.query) == (question.id, question.text)


@pytest.mark.parametrize("words", [None, "only", Fusion(0.5)])
def test_a_document_that_made_a_positive_is_no_negative(index, encoder, words):
    settings = MiningSettings(60, 1, 60, 1.0, 0.0, 1.0, "hardest", words)
    for place, text in enumerate(TEXTS[8:20], 8):
        part = text.rsplit(" ", 1)[0]
        question = Question("q", part, texts=(f"{part} {part}",))
        made = question._replace(known=(f"d{place}", "missing"))
        ((one,), (other,)) = mined(index, encoder, [question, made], settings)
        assert f"d{place}" in one.negative_ids
        assert other.negative_ids == [name for name in one.negative_ids if name != f"d{place}"]


@pytest.mark.parametrize("words", [None, "only", Fusion(0.5), Fusion(0.5, "rrf")])
@pytest.mark.parametrize("pick", ["hardest", "random"])
def test_no_positive_and_no_copy_of_one_is_a_negative(index, encoder, words, pick):
    settings = MiningSettings(20, 1, 60, 1.0, 0.0, 0.9, pick, words)
    vectors = encoder.encode(TEXTS)
    examples = [each for several in mined(index, encoder, QUESTIONS, settings) for each in several]
    assert examples
    for example in examples:
        question = next(each for each in QUESTIONS if each.id == example.query_id)
        rows = [int(name[1:]) for name in example.negative_ids]
        assert not {*example.negative_ids} & {*question.documents, *(["d7"] if question.id == "a" else [])}
        (positive,) = encoder.encode([example.positive])
        assert (vectors[rows] @ positive < 0.9).all()
        (query,) = encoder.encode([example.query], "query")
        np.testing.assert_allclose(example.similarities, vectors[rows] @ query, atol=1e-6)
        assert example.similarity == pytest.approx(float(positive @ query), abs=1e-6)
        assert max(example.similarities) <= example.similarity + 1e-6


@pytest.mark.parametrize("words", ["only", Fusion(0.5), Fusion(0.2)])
def test_scores_are_those_of_the_search_by_words_or_by_both(index, encoder, words):
    """The oracle is a search for all documents, in which every positive has its score."""
    settings = MiningSettings(20, 1, 5, 1.0, 0.0, 1.0, words=words)
    vectors = encoder.encode([question.text for question in QUESTIONS], "query")
    typed = [literal_query(question.text, index.lexical.settings) for question in QUESTIONS]
    fusion = words if isinstance(words, Fusion) else None
    found = rankings(index, vectors if fusion else None, Query(len(TEXTS), fusion=fusion), typed)
    for question, each, examples in zip(
        QUESTIONS, found, mined(index, encoder, QUESTIONS, settings), strict=True
    ):
        scores = dict(zip(each.rows.tolist(), each.scores.tolist(), strict=True))
        for example in examples:
            if not question.documents:
                assert example.score is example.scores is None  # a text is not in the index
                continue
            ids = [example.positive_id, *example.negative_ids]
            wanted = [scores.get(int(name[1:]), 0.0) for name in ids]  # words alone leave out scores of 0
            np.testing.assert_allclose([example.score, *example.scores], wanted, atol=1e-5)


@pytest.mark.parametrize("words", [None, Fusion(0.5, "rrf")])
def test_similarities_and_ranks_are_no_scores(index, encoder, words):
    examples = mined(index, encoder, QUESTIONS, MiningSettings(words=words))[0]
    assert [(example.score, example.scores) for example in examples] == [(None, None)] * len(examples)


def test_random_negatives_depend_on_the_seed_and_not_on_the_window(index, encoder, monkeypatch):
    def run(seed):
        return mined(index, encoder, QUESTIONS, MiningSettings(5, pick="random", seed=seed))

    first = run(1)
    monkeypatch.setattr("embedkit.adaptation.mining.WINDOW", 1)
    assert run(1) == first
    assert run(2) != first


def test_questions_of_judgements_and_of_pairs():
    queries = [Record(name, f"text {name}", {}) for name in "abc"]
    grades = [("a", "x", 1), ("a", "y", 2), ("c", "x", 0), ("a", "z", 0), ("other", "x", 1), ("a", "w", 1)]
    judged = [Judgement(f"qrels:{number}", *row) for number, row in enumerate(grades, 1)]
    assert list(judged_questions(queries, judged)) == [Question("a", "text a", ("y", "x", "w"))]
    with pytest.raises(DataError, match=r"^qrels:9: has document 'x' for query 'a' again$"):
        next(judged_questions(queries, [*judged, Judgement("qrels:9", "a", "x", 1)]))
    rows = [("q", "one", "d1"), ("p", "two \ud800", None), ("q", "three", "d2"), ("q", "one", "d1")]
    assert list(paired_questions(rows)) == [
        Question("1", "q", texts=("one", "three"), known=("d1", "d2")),
        Question("2", "p", texts=("two \ud800",)),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz"), st.sampled_from(["1", "2", None])))
)
def test_pairs_are_grouped_by_their_anchors_in_the_order_of_their_first_rows(rows):
    grouped = {}
    for number, (anchor, positive, source) in enumerate(rows, 1):
        _, positives, known = grouped.setdefault(anchor, (number, {}, {}))
        positives[positive] = known[source] = None
    assert list(paired_questions(rows)) == [
        Question(str(first), anchor, texts=tuple(positives), known=tuple(filter(None, known)))
        for anchor, (first, positives, known) in grouped.items()
    ]


def test_a_temporary_file_that_finds_no_room_is_one_line():
    def rows():
        yield "a", "b", None
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(DataError, match=r"^a temporary file failed: database or disk is full; TMPDIR "):
        next(paired_questions(rows()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negatives": 0}, "`negatives`: must be at least 1, got 0"),
        ({"first": 5, "last": 4}, "`ranks`: must rise from at least 1, got 5 to 4"),
        ({"share": 0}, "`share`: must be above 0 and at most 1, got 0"),
        ({"share": float("nan")}, "`share`: must be above 0 and at most 1, got nan"),
        ({"margin": -1}, "`margin`: must be at least 0 and less than 2, got -1"),
        ({"duplicate": 1.5}, "`duplicate`: must be a cosine above 0, got 1.5"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UsageError) as error:
        MiningSettings(**settings)
    assert str(error.value).startswith(message)


def test_an_index_without_texts_is_refused(encoder, tmp_path):
    batches = encode_batches(encoder, DOCUMENTS, with_text=False)
    bare = build_index(tmp_path / "bare.idx", describe(encoder), batches)
    with pytest.raises(UsageError, match="its documents have no text, which examples need"):
        mined(bare, encoder, QUESTIONS, MiningSettings())
