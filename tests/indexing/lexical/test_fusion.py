"""Fused hits are those of the formula over all documents, by both methods, with every way to choose hits."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import MismatchError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.lexical import fusion as fusion_module
from embedkit.indexing.lexical.fusion import EQUAL, RRF_CONSTANT, WEIGHT, Fusion
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.operators import literal_query, parse_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index
from embedkit.indexing.where import rows_where

META = VectorMeta(8)
SETTINGS = LexicalSettings()
WORDS = ["w1 w7 running", "人工智能 w3", "missing", "", "w2"]
QUERIES = np.random.default_rng(1).normal(size=(len(WORDS), 8)).astype(np.float32)


@pytest.fixture(scope="module")
def corpus():
    """Seven hundred documents."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(60)] + ["人工智能", "running"])
    return {f"d{row}": " ".join(rng.choice(words, rng.integers(1, 30))) for row in range(700)}


@pytest.fixture(scope="module")
def index(tmp_path_factory, corpus, batch):
    """They, in two segments, with deleted and replaced documents."""
    path, rows = tmp_path_factory.mktemp("fusion") / "x.idx", list(corpus.items())
    old = {id: "w1 w1 w2" for id, _ in rows[:40]} | {f"x{row}": "w1 running" for row in range(30)}
    build_index(path, META, [batch(old | dict(rows[40:500]))])
    add(path, META, [batch(dict(rows[:40] + rows[500:]))])
    delete(path, [f"x{row}" for row in range(30)])
    return Index.open(path)


def standard(values):
    """Return values in standard deviations from their mean."""
    return (values - values.mean()) / values.std() if values.std() > 1e-9 else 0 * values


@pytest.fixture(scope="module")
def parts(index, corpus, vectors_of, slow_bm25):
    """The ids, and per query the similarities and the BM25 scores of all documents."""
    similarities = unit_length(QUERIES).astype(float) @ unit_length(vectors_of(corpus)).astype(float).T
    worded = [np.array(list(slow_bm25(corpus, text, SETTINGS).values())) for text in WORDS]
    return np.array(list(corpus)), similarities, np.array(worded)


def search(index, k, fusion, passing=None, words=WORDS, **more):
    """Return the hits of all queries."""
    typed = [literal_query(text, SETTINGS) for text in words]
    return hits(index, QUERIES[: len(words)], Query(k, passing, fusion=fusion, **more), texts=typed)


def scored(line):
    return {hit.document["id"]: hit.score for hit in line}


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("k", [1, 10, 700])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_the_sum_is_the_formula_over_all_documents(index, parts, corpus, weight, k, masked, exact):
    names, similarities, worded = parts
    passing = rows_where(index, "id like '%3' or text like '%w7%'") if masked else None
    chosen = np.array([not masked or id.endswith("3") or "w7" in text for id, text in corpus.items()])
    found = search(index, k, Fusion(weight), passing, exact=exact)
    for line, dense, lexical in zip(found, similarities, worded, strict=True):
        fused = weight * standard(dense) + (1 - weight) * standard(lexical)
        best = np.flatnonzero(chosen)[np.argsort(-fused[chosen], kind="stable")]
        assert len(line) == min(k, len(best))
        np.testing.assert_allclose(
            [hit.score for hit in line], fused[best][: len(line)], rtol=1e-4, atol=2e-5
        )
        place = {id: at for at, id in enumerate(names)}
        at = [place[hit.document["id"]] for hit in line]
        assert len(set(at)) == len(at)
        assert chosen[at].all()
        np.testing.assert_allclose(fused[at], fused[best][: len(line)], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose([hit.dense for hit in line], dense[at], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose([hit.lexical for hit in line], lexical[at], rtol=1e-5, atol=1e-6)
        assert [hit.rank for hit in line] == list(range(1, len(line) + 1))


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("k", [1, 10, 700])
@pytest.mark.parametrize("masked", [False, True])
def test_reciprocal_ranks_are_the_formula(index, parts, corpus, weight, k, masked):
    names, similarities, worded = parts
    passing = rows_where(index, "id like '%3'") if masked else None
    chosen = np.array([not masked or id.endswith("3") for id in corpus])
    where = {id: at for at, id in enumerate(names)}
    for line, dense, lexical in zip(
        search(index, k, Fusion(weight, "rrf"), passing), similarities, worded, strict=True
    ):
        assert len(line) == min(k, chosen.sum())
        for hit in line:
            at = where[hit.document["id"]]
            assert (hit.dense, hit.lexical) == pytest.approx((dense[at], lexical[at]), rel=1e-4, abs=1e-5)
            first = 1 + (dense[chosen] > dense[at]).sum()
            least = 1 + (lexical[chosen] > lexical[at] * 1.00001).sum()  # equal scores have several ranks
            most = (lexical[chosen] > lexical[at] * 0.99999).sum()
            shares = [0, 0] if not lexical[at] else [1 / (RRF_CONSTANT + most), 1 / (RRF_CONSTANT + least)]
            low, high = (2 * weight / (RRF_CONSTANT + first) + 2 * (1 - weight) * share for share in shares)
            assert low - 1e-6 <= hit.score <= high + 1e-6
        assert [hit.score for hit in line] == sorted((hit.score for hit in line), reverse=True)


@pytest.mark.parametrize("method", ["sum", "rrf"])
def test_the_weights_0_and_1_order_as_each_part_alone(index, parts, method):
    names, similarities, _ = parts
    for line, dense in zip(search(index, 20, Fusion(1, method)), similarities, strict=True):
        assert [hit.document["id"] for hit in line] == names[np.argsort(-dense)][:20].tolist()
    typed = [literal_query(text, SETTINGS) for text in WORDS]
    alone = hits(index, None, Query(20), texts=typed)
    for line, expected in zip(search(index, 20, Fusion(0, method)), alone, strict=True):
        assert [hit.document for hit in line[: len(expected)]] == [hit.document for hit in expected]
        assert all(hit.lexical == 0 for hit in line[len(expected) :])


def test_a_query_without_terms_is_in_the_order_of_vectors(index, parts):
    names, similarities, _ = parts
    for place in (2, 3):
        line = search(index, 15, Fusion(0.4))[place]
        assert [hit.document["id"] for hit in line] == names[np.argsort(-similarities[place])][:15].tolist()
        assert {hit.lexical for hit in line} == {0}


def test_thresholds_are_of_the_fused_score(index):
    for line, whole in zip(
        search(index, 50, Fusion(), min_score=1.5), search(index, 50, Fusion()), strict=True
    ):
        assert line == [hit for hit in whole if hit.score >= 1.5]
    assert any(search(index, 50, Fusion(), min_score=1.5))


@pytest.mark.parametrize("method", ["sum", "rrf"])
def test_duplicates_of_better_hits_are_left_out(index, vectors_of, method):
    whole = search(index, 700, Fusion(0.5, method), words=WORDS[:2])
    for line, everything in zip(
        search(index, 12, Fusion(0.5, method), words=WORDS[:2], dedupe=0.6), whole, strict=True
    ):
        kept = []
        for hit in everything:
            (vector,) = unit_length(vectors_of({hit.document["id"]: hit.document["text"]}))
            if len(kept) < 12 and all(float(vector @ other) < 0.6 for _, other in kept):
                kept.append((hit, vector))
        assert [hit.document for hit in line] == [hit.document for hit, _ in kept]
        assert [hit.score for hit in line] == pytest.approx([hit.score for hit, _ in kept], rel=1e-5)


def test_operators_limit_the_hits_of_their_own_query(index, corpus):
    typed = [parse_query(text, SETTINGS) for text in ("w1 +w2 -w3", "w1 w7", '"w4 w5" w6')]
    found = hits(index, QUERIES[:3], Query(700, fusion=Fusion()), texts=typed)
    held = {id: text.split() for id, text in corpus.items()}
    assert scored(found[0]).keys() == {id for id in held if "w2" in held[id] and "w3" not in held[id]}
    assert len(found[1]) == 700
    assert scored(found[2]).keys() == {id for id in held if _pair(held[id])}
    alone = [
        hits(index, QUERIES[at : at + 1], Query(700, fusion=Fusion()), texts=typed[at : at + 1])
        for at in range(3)
    ]
    for one, line in zip(alone, found, strict=True):
        assert scored(one[0]) == pytest.approx(scored(line), rel=1e-4, abs=1e-5)


def _pair(words):
    return ("w4", "w5") in pairwise(words)


def opposed(monkeypatch, most):
    """An index in which the best fused hit is far down in both rankings, and the query that shows it."""
    monkeypatch.setattr(fusion_module, "_CANDIDATES", 4)
    monkeypatch.setattr(fusion_module, "_MOST", most)
    count = 60
    angles = np.concatenate([np.linspace(0.1, 0.3, count), np.linspace(1.4, 1.6, count), [0.35]])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    texts = (
        ["nothing of note"] * count
        + [f"word word word other{n % 3}" for n in range(count)]
        + ["word or two here"]
    )
    table = pa.table({"id": [str(row) for row in range(len(texts))], "text": texts})
    index = build_index("x.idx", VectorMeta(2), [Batch(table, vectors)])
    return index, np.array([[1, 0]], np.float32), [literal_query("word", SETTINGS)]


@pytest.mark.parametrize(("most", "found"), [(4096, "120"), (4, None)])
def test_candidates_grow_until_the_best_are_certain(folder, monkeypatch, most, found):
    index, vectors, typed = opposed(monkeypatch, most)
    ((hit,),) = hits(index, vectors, Query(1, fusion=Fusion(0.5)), texts=typed)
    assert (hit.document["id"] == "120") == (found is not None)


def test_documents_whose_vectors_are_equal_are_ordered_by_words(folder):
    texts = [f"{'word ' * (row % 7)}and {row}" for row in range(40)]
    rng = np.random.default_rng(0)  # one direction: unit lengths are equal except for their rounding
    vectors = (rng.normal(size=(1, 64)) * rng.uniform(0.5, 2, size=(40, 1))).astype(np.float32)
    table = pa.table({"id": [str(row) for row in range(40)], "text": texts})
    index = build_index("x.idx", VectorMeta(64), [Batch(table, vectors)])
    typed = [literal_query("word", SETTINGS)]
    (alone,) = hits(index, None, Query(40), texts=typed)
    scores = np.zeros(40)
    scores[[int(hit.document["id"]) for hit in alone]] = [hit.score for hit in alone]
    for query in np.random.default_rng(1).normal(size=(5, 1, 64)).astype(np.float32):
        (line,) = hits(index, query, Query(40, fusion=Fusion(0.9)), texts=typed)
        assert [hit.document for hit in line[: len(alone)]] == [hit.document for hit in alone]
        expected = 0.1 * standard(scores)
        for hit in line:
            assert hit.score == pytest.approx(expected[int(hit.document["id"])], rel=1e-4, abs=1e-6)


def test_documents_with_equal_texts_are_ordered_by_vectors(folder, batch, vectors_of):
    documents = {str(row): "a word or two" for row in range(50)}
    index = build_index("x.idx", META, [batch(documents)])
    (line,) = hits(index, QUERIES[:1], Query(50, fusion=Fusion(0.1)), texts=[literal_query("word", SETTINGS)])
    similarities = (unit_length(QUERIES[:1]) @ unit_length(vectors_of(documents)).T)[0]
    assert [int(hit.document["id"]) for hit in line] == np.argsort(-similarities).tolist()
    assert [hit.score for hit in line] == pytest.approx(
        sorted(0.1 * standard(similarities), reverse=True), rel=1e-3, abs=1e-5
    )


def test_documents_without_text_are_hits_by_their_vectors(folder, batch):
    documents = {str(row): None for row in range(20)}
    build_index("x.idx", META, [batch(documents)])
    add("x.idx", META, [batch({"a": "word", "b": "other"})])
    (line,) = hits(
        Index.open("x.idx"),
        QUERIES[:1],
        Query(50, fusion=Fusion(0.5)),
        texts=[literal_query("word", SETTINGS)],
    )
    assert len(line) == 22
    assert sum(hit.lexical > 0 for hit in line) == 1


def test_a_single_document_is_a_hit(folder, batch):
    index = build_index("x.idx", META, [batch({"a": "word"})])
    for fusion in (Fusion(), Fusion(0.5, "rrf")):
        ((hit,),) = hits(index, QUERIES[:1], Query(5, fusion=fusion), texts=[literal_query("word", SETTINGS)])
        assert np.isfinite(hit.score)


@pytest.mark.parametrize("kind", ["hnsw", "ivf:lists=8", "int8", "binary:rescore=float16"])
@pytest.mark.parametrize("method", ["sum", "rrf"])
def test_other_kinds_find_the_best_of_both(folder, batch, corpus, kind, method):
    index = build_index("x.idx", META, [batch(corpus)], kind=kind)
    found = search(index, 10, Fusion(0.5, method))
    exact = search(index, 10, Fusion(0.5, method), exact=True)
    for line, expected in zip(found, exact, strict=True):
        assert len(line) == 10
        assert [hit.score for hit in line] == sorted((hit.score for hit in line), reverse=True)
        assert len(scored(line).keys() & scored(expected).keys()) >= 5


def test_a_dot_product_is_standardised_likewise(folder, batch, corpus, vectors_of):
    index = build_index("x.idx", META, [batch(corpus)], metric="dot")
    (line,) = search(index, 10, Fusion(1), words=WORDS[:1])
    dense = (QUERIES[:1] @ vectors_of(corpus).T)[0]
    assert [hit.score for hit in line] == pytest.approx(sorted(standard(dense), reverse=True)[:10], rel=1e-4)
    assert [hit.dense for hit in line] == pytest.approx(sorted(dense, reverse=True)[:10], rel=1e-4)


def test_the_python_call_fuses_too(index):
    texts = WORDS[:2]
    found = index.hits(QUERIES[:2], 10, texts=texts, hybrid=0.7)
    assert found == search(index, 10, Fusion(0.7), words=texts)
    assert index.hits(QUERIES[:2], 10, texts=texts, hybrid=Fusion(0.5, "rrf")) == search(
        index, 10, Fusion(0.5, "rrf"), words=texts
    )
    assert index.weight == WEIGHT
    assert 0 < EQUAL < 1


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_weight_outside_0_and_1_is_refused(value):
    with pytest.raises(UsageError, match=r"^`hybrid`: the weight must lie between 0 and 1, got "):
        Fusion(value)


def test_an_unknown_method_is_refused():
    with pytest.raises(UsageError, match=r"^unknown fusion 'max'; known: sum, rrf$"):
        Fusion(0.5, "max")


def test_vectors_of_another_dimension_are_refused(index):
    with pytest.raises(MismatchError, match="the index has 8 columns, the queries 3"):
        index.hits(np.ones((1, 3), np.float32), 5, texts=["w1"], hybrid=0.5)


@pytest.mark.parametrize("texts", [[], ["red"], ["red", "blue", "green"]])
def test_every_vector_has_its_text(index, texts):
    with pytest.raises(UsageError, match=rf"^2 queries need 2 texts, got {len(texts)}$"):
        index.hits(QUERIES[:2], 3, texts=texts, hybrid=0.7)
