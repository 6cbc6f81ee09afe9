"""BM25 scores are those of the formula, over the documents that are there, however they came there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical.bm25 import best_rows
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.merging import merge
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

META = VectorMeta(8)
WORDS = ["run", "running", "cat", "the", "Café", "人工智能", "人", "工人", "2026", "naïve", "dog-house", "!"]
QUERIES = [*WORDS, "running cats", "the the cat", "人工 run", "missing", "missing cat", "", "the run 工"]

texts = st.none() | st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
documents = st.dictionaries(st.sampled_from("abcdefghij"), texts, min_size=1, max_size=6)
changes = st.one_of(
    st.tuples(st.just("add"), documents),
    st.tuples(st.just("delete"), st.sets(st.sampled_from("abcdefghij"), min_size=1, max_size=4)),
    st.just(("compact", None)),
)
choices = st.builds(
    LexicalSettings,
    st.sampled_from(["en", "none"]),
    st.sampled_from([0.0, 0.9, 1.2, 5.0]),
    st.sampled_from([0.0, 0.4, 0.75, 1.0]),
)


def scores_by_id(index, query):
    """The score of each document, by id; rows that were deleted have none."""
    scores = index.lexical.scores(index.manifest.lexical.query_terms(query))
    live = np.concatenate([np.empty(0, bool), *(_live(segment) for segment in index.segments)])
    assert len(scores) == index.stored_rows
    assert not scores[~live].any()
    rows = np.flatnonzero(live)
    names = [document["id"] for document in index.take(rows, ["id"])]
    return dict(zip(names, scores[rows].tolist(), strict=True))


def _live(segment):
    return np.ones(segment.rows, bool) if segment.live is None else segment.live


def require_scores(index, documents, slow_bm25):
    """Compare all scores with the formula."""
    assert index.rows == len(documents)
    own = index.manifest.lexical
    if not any(own.document_terms(text or "") for text in documents.values()):
        if documents and not any(segment.postings for segment in index.segments):
            with pytest.raises(UsageError, match="its documents have no text to search by words"):
                _ = index.lexical
        return
    for query in QUERIES:
        expected = slow_bm25(documents, query, own)
        assert scores_by_id(index, query) == pytest.approx(expected, rel=1e-5, abs=0)


@settings(max_examples=50)
@given(documents, st.lists(changes, max_size=6), choices)
def test_scores_are_those_of_the_formula_after_every_change(
    tmp_path_factory, batch, slow_bm25, first, steps, chosen
):
    path = tmp_path_factory.mktemp("index") / "x.idx"
    build_index(path, META, [batch(first)], lexical=chosen)
    there = dict(first)
    for name, value in steps:
        if name == "add":
            add(path, META, [batch(value)])
            there |= value
        elif name == "delete":
            delete(path, sorted(value))
            there = {id: text for id, text in there.items() if id not in value}
        else:
            compact(path)
    require_scores(Index.open(path), there, slow_bm25)


@pytest.fixture(scope="module")
def corpus():
    """Ninety documents, of which every seventh has no text."""
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)] + ["人工智能", "工人", "running"]
    return {
        f"d{row}": None if row % 7 == 0 else " ".join(rng.choice(words, rng.integers(1, 15)))
        for row in range(90)
    }


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, batch, corpus):
    """The same documents, in indexes that came about in different ways."""
    rows, folder = list(corpus.items()), tmp_path_factory.mktemp("indexes")
    build_index(folder / "one.idx", META, [batch(corpus)])
    build_index(folder / "many.idx", META, [batch(dict(rows[:1]))])  # a segment without any text
    for start in range(1, 90, 10):
        add(folder / "many.idx", META, [batch(dict(rows[start : start + 10]))])
    build_index(
        folder / "replaced.idx", META, [batch(dict.fromkeys(corpus, "old w1 w2 人工") | {"gone": "w3 w3"})]
    )
    add(folder / "replaced.idx", META, [batch(corpus)])
    delete(folder / "replaced.idx", ["gone"])
    build_index(folder / "holes.idx", META, [batch(corpus | {f"x{row}": "w1 w5 工人" for row in range(9)})])
    delete(folder / "holes.idx", [f"x{row}" for row in range(9)])
    for name, part in (("left.idx", rows[:33]), ("right.idx", rows[33:])):
        build_index(folder / name, META, [batch(dict(part))])
    merge([folder / "left.idx", folder / "right.idx"], folder / "merged.idx")
    build_index(folder / "compact.idx", META, [batch(dict(rows[:50]))])
    add(folder / "compact.idx", META, [batch(dict(rows[40:]))])
    compact(folder / "compact.idx")
    names = ("one", "many", "replaced", "holes", "merged", "compact")
    return [Index.open(folder / f"{name}.idx") for name in names]


def test_scores_do_not_depend_on_how_documents_came_into_the_index(indexes, corpus, slow_bm25):
    for index in indexes:
        require_scores(index, corpus, slow_bm25)
        for query in ("w1 w7 running", "工", "w5 人工智能"):
            expected = slow_bm25(corpus, query, index.manifest.lexical)
            assert scores_by_id(index, query) == pytest.approx(expected, rel=1e-5, abs=0)


@pytest.mark.parametrize("fusion", [Fusion(0.7), Fusion(0.2), Fusion(0.5, "rrf")])
def test_fused_hits_do_not_depend_on_how_documents_came_into_the_index(indexes, fusion):
    queries = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    words = ["w1 w7 running", "工", "missing", "w5 人工智能"]
    found = []
    for index in indexes:
        typed = [literal_query(text, index.manifest.lexical) for text in words]
        found.append(hits(index, queries, Query(90, fusion=fusion), texts=typed))
    for lines in found[1:]:
        for line, first in zip(lines, found[0], strict=True):
            if fusion.method == "rrf":  # documents without a word are in the order of their rows
                assert len(line) == len(first)
                continue
            expected = {hit.document["id"]: hit.score for hit in first}
            assert {hit.document["id"]: hit.score for hit in line} == pytest.approx(
                expected, rel=1e-4, abs=1e-5
            )


def test_the_sample_does_not_depend_on_how_documents_came_into_the_index(indexes, corpus):
    drawn = [[each["id"] for each in index.take(index.lexical.sample(), ["id"])] for index in indexes]
    assert sorted(drawn[0]) == sorted(id for id, text in corpus.items() if text)
    assert all(each == drawn[0] for each in drawn)


def test_a_sample_of_many_documents_is_a_part_of_each_segments(monkeypatch, folder, batch, corpus):
    from embedkit.indexing.lexical import bm25, postings_writing

    for module in (bm25, postings_writing):
        monkeypatch.setattr(module, "SAMPLE_ROWS", 12)
    rows = list(corpus.items())
    build_index("whole.idx", META, [batch(corpus)])
    build_index("parts.idx", META, [batch(dict(rows[:70]))])
    add("parts.idx", META, [batch(dict(rows[70:]))])
    drawn = [
        [each["id"] for each in index.take(index.lexical.sample(), ["id"])]
        for index in map(Index.open, ("whole.idx", "parts.idx"))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 12


def test_scores_are_explained_by_the_terms_of_each_document(indexes):
    for index in indexes:
        typed = literal_query("w1 w7 w7 人工智能 工 missing", index.manifest.lexical)
        found = hits(index, None, Query(20, explain=True), texts=[typed])[0]
        assert len(found) == 20
        for hit in found:
            assert sum(hit.terms.values()) == pytest.approx(hit.score, rel=1e-5)
            assert list(hit.terms.values()) == sorted(hit.terms.values(), reverse=True)
            held = index.manifest.lexical.document_terms(hit.document["text"])
            assert hit.terms.keys() == {
                term for term in typed.terms if any(each == term or each[0] == term for each in held)
            }


def test_a_search_by_words_finds_only_documents_with_one_of_them(indexes, corpus, slow_bm25):
    for index in indexes:
        typed = literal_query("w1 w7", index.manifest.lexical)
        expected = {
            id: score for id, score in slow_bm25(corpus, "w1 w7", index.manifest.lexical).items() if score
        }
        found = hits(index, None, Query(90), texts=[typed])[0]
        assert {hit.document["id"]: hit.score for hit in found} == pytest.approx(expected, rel=1e-5)
        assert [hit.rank for hit in found] == list(range(1, len(expected) + 1))
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        best = hits(index, None, Query(3), texts=[typed])[0]
        assert best == found[:3]


def test_an_index_that_was_emptied_finds_nothing(folder, batch):
    build_index("x.idx", META, [batch({"a": "one"})])
    delete("x.idx", ["a"])
    index = Index.open("x.idx")
    typed = literal_query("one", index.manifest.lexical)
    assert hits(index, None, Query(3), texts=[typed]) == [[]]
    assert hits(index, np.ones((1, 8), np.float32), Query(3, fusion=Fusion()), texts=[typed]) == [[]]
    add("x.idx", META, [batch({"b": "one two"})])
    assert hits(Index.open("x.idx"), None, Query(3), texts=[typed])[0][0].document["id"] == "b"


def test_an_index_without_a_lexical_part_is_one_line(folder, batch):
    build_index("x.idx", META, [batch({"a": "one"})], lexical=None)
    assert [file.name for file in Index.open("x.idx").segments[0].files] == ["vectors.faiss"]
    with pytest.raises(
        UsageError, match=r"^x.idx: has no lexical part; add it with embedkit index compact x.idx"
    ):
        _ = Index.open("x.idx").lexical
    assert compact("x.idx").manifest.lexical is None
    index = compact("x.idx", LexicalSettings("none"))
    assert index.lexical.scores(["one"]).tolist() == pytest.approx([np.log(4 / 3) / 2.2])


def test_settings_of_the_lexical_part_are_changed_by_compacting(folder, batch):
    build_index("x.idx", META, [batch({"a": "running", "b": "walks"})])
    assert Index.open("x.idx").lexical.scores(["run"]).any()
    index = compact("x.idx", LexicalSettings("none", 0.9, 0.4))
    assert index.manifest.lexical == LexicalSettings("none", 0.9, 0.4)
    assert not index.lexical.scores(["run"]).any()
    assert index.lexical.scores(["running"]).any()


@given(st.lists(st.integers(0, 5), max_size=1500), st.integers(1, 2000), st.randoms(use_true_random=False))
def test_the_best_rows_are_those_of_a_sort(values, k, chance):
    scores = np.array(values, np.float32)
    allowed = np.array([chance.random() < 0.7 for _ in values], bool)
    for mask in (None, allowed):
        rows = [row for row in range(len(values)) if values[row] and (mask is None or mask[row])]
        assert best_rows(scores, k, mask).tolist() == sorted(rows, key=lambda row: (-values[row], row))[:k]


def test_terms_of_many_documents_tell_little(folder, batch):
    texts = [f"the {WORDS[row % 2]} {row}" for row in range(120)]
    index = build_index("docs.idx", META, [batch({str(row): text for row, text in enumerate(texts)})])
    terms = index.manifest.lexical.query_terms("the run 7")
    assert len(terms) == 3
    assert index.lexical.telling(terms) == {"7"}
    assert index.lexical.telling(terms[:1]) == set(terms[:1])  # none would be left
    few = build_index("few.idx", META, [batch({"a": "the cat", "b": "the dog"})])
    assert few.lexical.telling(["the"]) == {"the"}
