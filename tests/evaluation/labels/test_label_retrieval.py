"""Retrieval by label against scikit-learn, ir_measures, every order of ties, and figures worked by hand."""

import tracemalloc
from itertools import permutations
from math import comb
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, Qrel, ScoredDoc, Success
from sklearn.metrics import average_precision_score

import embedkit.evaluation.labels.label_retrieval
from embedkit.data.text.labelled import Labelled, LabelledText, read_labelled
from embedkit.embedding.loading import load
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import difference, draws, estimate
from embedkit.evaluation.labels.label_retrieval import (
    FIGURES,
    evaluate_labels,
    held_out,
    label_figures,
    seen_only,
)
from embedkit.evaluation.sts import remember

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "labels"
NAMES = list("abcdefg")


def angles(*degrees):
    """Vectors in the plane at angles to the first axis, of lengths that do not matter."""
    turned = np.deg2rad(degrees)
    lengths = np.arange(1, len(degrees) + 1)[:, None]
    return (lengths * np.stack([np.cos(turned), np.sin(turned)], axis=1)).astype(np.float32)


def singles(names):
    return [(name,) for name in names]


def random_case(seed, queries=40, texts=60, lists=False):
    """Vectors of queries and of a gallery, and their labels: one each, or lists of none to three."""
    numbers = np.random.default_rng(seed)
    Q, G = (numbers.normal(size=(rows, 5)).astype(np.float32) for rows in (queries, texts))
    sizes = numbers.integers(0, 4, size=queries + texts) if lists else np.ones(queries + texts, int)
    labels = [tuple(numbers.choice(NAMES, size, replace=False).tolist()) for size in sizes]
    return Q, labels[:queries], G, labels[queries:]


def cosines(Q, G):
    Q, G = Q.astype(np.float64), G.astype(np.float64)
    return Q @ G.T / np.linalg.norm(Q, axis=1)[:, None] / np.linalg.norm(G, axis=1)


def by_sklearn(Q, labels, G, gallery_labels, *, others=False):
    """Return the average precision of each query that has something to find, by a slow loop."""
    found = []
    for query, row in enumerate(cosines(Q, G)):
        kept = [text for text in range(len(G)) if not (others and text == query)]
        hits = [bool(set(labels[query]) & set(gallery_labels[text])) for text in kept]
        if any(hits):
            found.append(average_precision_score(hits, row[kept]))
    return found


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("cells", [1, 100, 10**9])
def test_average_precision_is_that_of_sklearn_whatever_the_blocks(monkeypatch, lists, cells):
    monkeypatch.setattr(embedkit.evaluation.labels.label_retrieval, "_BLOCK_CELLS", cells)
    case = random_case(0, lists=lists)
    Q, labels = case[:2]
    np.testing.assert_allclose(label_figures(*case).average_precision, by_sklearn(*case), rtol=1e-12)
    alone = label_figures(Q, labels).average_precision
    np.testing.assert_allclose(alone, by_sklearn(Q, labels, Q, labels, others=True), rtol=1e-12)


@pytest.mark.parametrize("lists", [False, True])
def test_every_figure_is_that_of_ir_measures(lists):
    Q, labels, G, gallery_labels = random_case(1, lists=lists)
    scores = cosines(Q, G)
    run = [ScoredDoc(str(q), str(d), scores[q, d]) for q in range(len(Q)) for d in range(len(G))]
    qrels = [
        Qrel(str(q), str(d), 1)
        for q in range(len(Q))
        for d in range(len(G))
        if set(labels[q]) & set(gallery_labels[d])
    ]
    measures = [Success @ 1, Success @ 5, Success @ 10, AP]
    expected = {(m.query_id, m.measure): m.value for m in ir_measures.iter_calc(measures, qrels, run)}
    found = label_figures(Q, labels, G, gallery_labels)
    kept = [query for query in range(len(Q)) if query not in found.left_out]
    assert {str(query) for query in kept} == {query for query, _ in expected}
    for measure, values in zip(measures, found, strict=False):
        np.testing.assert_allclose(values, [expected[str(query), measure] for query in kept], rtol=1e-9)


def test_a_case_worked_by_hand():
    found = label_figures(angles(0), singles("a"), angles(5, 10, 20, 40, 80), singles("babcb"))
    assert [float(values[0]) for values in found[:3]] == [0, 1, 1]
    assert found.average_precision[0] == pytest.approx(1 / 2)
    found = label_figures(angles(0), singles("b"), angles(80, 5, 40, 20, 10), singles("bbcba"))
    assert [float(values[0]) for values in found[:3]] == [1, 1, 1]
    assert found.average_precision[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_each_text_queries_the_others_and_is_itself_left_out_by_row():
    found = label_figures(angles(0, 0, 90, 91), singles("abab"))  # the first two are equal
    np.testing.assert_allclose(found.top1, [0, 0, 0, 0])
    np.testing.assert_allclose(found.average_precision, [1 / 2, 1 / 3, 5 / 12, 5 / 12])
    assert found.left_out.tolist() == []
    found = label_figures(angles(0, 0, 90), singles("aab"))
    np.testing.assert_allclose(found.top1, [1, 1])  # its double is a text like others
    assert found.left_out.tolist() == [2]


def test_queries_with_nothing_to_find_are_left_out_and_said():
    labels = [("a",), ("z",), (), ("b", "z")]
    found = label_figures(angles(0, 10, 20, 30), labels, angles(5, 25), [("a",), ("b", "y")])
    assert found.left_out.tolist() == [1, 2]
    assert [len(values) for values in found[:4]] == [2, 2, 2, 2]
    np.testing.assert_allclose(found.average_precision, [1, 1])


def test_any_shared_label_is_a_hit_and_it_counts_once():
    labels, gallery_labels = [("a", "b")], [("c",), ("b", "a"), frozenset("b"), ()]
    found = label_figures(angles(0), labels, angles(1, 2, 3, 4), gallery_labels)
    assert found.average_precision[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    repeated = label_figures(angles(0), singles("a"), angles(1, 2, 3), [("a",), ("b",), ("a", "a")])
    assert repeated.average_precision[0] == pytest.approx((1 + 2 / 3) / 2)


def test_memory_is_that_of_a_block(monkeypatch):
    monkeypatch.setattr(embedkit.evaluation.labels.label_retrieval, "_BLOCK_CELLS", 40_000)
    Q, labels = angles(*range(3000)), singles(NAMES * 500)[:3000]
    tracemalloc.start()
    label_figures(Q, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # bytes; all cosines are 36e6


# Ties: two groups of equal vectors, in every order that leaves the groups where they are.

TIED = [
    ("ab", "abb"),
    ("bb", "aab"),
    ("", "abbb"),
    ("", "bbbba"),
    ("b", "aaa"),
    ("bbb", "abb"),
    ("a", "b"),
    ("", "aaabbb"),
]


@pytest.mark.parametrize(("near", "far"), TIED)
def test_ties_give_the_mean_over_all_their_orders(near, far):
    found = label_figures(angles(0), singles("a"), tied(near, far), singles(near + far))
    orders = [one + other for one in permutations(near) for other in permutations(far)]
    expected = np.mean([slow_figures(order) for order in orders], axis=0)
    np.testing.assert_allclose([values[0] for values in found[:4]], expected, rtol=1e-12, atol=1e-15)


def tied(near, far):
    return np.concatenate([np.tile(angles(3), (len(near), 1)), np.tile(angles(60), (len(far), 1))])


def slow_figures(order):
    hits = [place for place, name in enumerate(order, 1) if name == "a"]
    precision = [number / place for number, place in enumerate(hits, 1)]
    return [hits[0] <= 1, hits[0] <= 5, hits[0] <= 10, sum(precision) / len(hits)]


@pytest.mark.parametrize("k", [5, 10])
def test_the_chance_among_many_ties_is_hypergeometric(k):
    near, far = "bbb", "a" * 4 + "b" * 16
    found = label_figures(angles(0), singles("a"), tied(near, far), singles(near + far))
    value = {5: found.top5, 10: found.top10}[k][0]
    assert value == pytest.approx(1 - comb(16, k - 3) / comb(20, k - 3))


def test_an_encoder_that_gives_one_vector_for_all_is_worth_chance():
    numbers = np.random.default_rng(2)
    labels = singles(numbers.choice(["a", "b", "c"], 300).tolist())
    one = numbers.normal(size=32).astype(np.float32)  # of no round numbers
    found = label_figures(np.tile(one, (300, 1)), labels)
    share = np.array([np.mean([other == own for other in labels]) * 300 - 1 for own in labels]) / 299
    np.testing.assert_allclose(found.top1, share, rtol=1e-12)
    np.testing.assert_allclose(found.average_precision, expected_precision(share, 299), rtol=1e-9)


def expected_precision(share, texts):
    """Return the average precision of n texts in random order, a `share` of them hits, by their places."""
    places = np.arange(1, texts + 1)[:, None]
    return ((1 + (places - 1) * (share * texts - 1) / (texts - 1)) / places).mean(axis=0)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_equal_vectors_tie_wherever_they_stand(rows):
    numbers = np.random.default_rng(rows)
    base, rest = (numbers.normal(size=(n, 384)).astype(np.float32) for n in (7, rows))
    names = ["b"] * (7 + rows) + ["a"] * 7
    found = label_figures(base, singles("a" * 7), np.concatenate([base, rest, base]), singles(names))
    np.testing.assert_allclose(found.top1, 0.5)  # each is first among all together with its double


def test_neither_order_nor_length_nor_the_sign_of_zero_counts():
    Q, labels, G, gallery_labels = random_case(3, lists=True)
    G[:, 2] = 0
    G[10:20], gallery_labels[10:20] = G[20:30], gallery_labels[30:40]  # ties
    order = np.random.default_rng(4).permutation(len(G))
    shuffled = G[order] * np.where(np.arange(5) == 2, -1.0, 1.0)
    found = label_figures(Q, labels, G, gallery_labels)
    other = label_figures(Q * 4, labels, shuffled.astype(np.float32), [gallery_labels[row] for row in order])
    for one, two in zip(found[:5], other[:5], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_vectors_of_length_zero_are_orthogonal_to_all():
    found = label_figures(angles(0), singles("a"), np.float32([[0, 0], [1, 1], [-1, 0]]), singles("abc"))
    assert found.average_precision[0] == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((angles(0), singles("ab")), MismatchError, "queries: got 2 rows of labels for 1 vectors"),
        (
            (angles(0), singles("a"), angles(1, 2), singles("a")),
            MismatchError,
            "the gallery: got 1 rows of labels for 2 vectors",
        ),
        (
            (angles(0), singles("a"), np.ones((1, 3), np.float32), singles("a")),
            MismatchError,
            "queries have 2 dimensions, the gallery has 3",
        ),
        (
            (angles(0), singles("a"), angles(1)),
            MismatchError,
            "a gallery and its labels must be given together",
        ),
        (
            (angles(0), singles("a"), np.float32([[np.nan, 0]]), singles("a")),
            DataError,
            "the gallery: the vector of row",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, kind, message):
    with pytest.raises(kind) as caught:
        label_figures(*arguments)
    assert str(caught.value).startswith(message)


# Intervals and differences


def systems():
    Q, labels, G, gallery_labels = random_case(5, queries=80)
    return [label_figures(X, labels, Y, gallery_labels) for X, Y in ((Q, G), (-Q, G), (Q[:, :3], G[:, :3]))]


def test_figures_are_means_with_intervals_over_the_same_queries():
    measured = systems()
    results = evaluate_labels(measured, resamples=200, seed=3)
    assert [(each.name, each.system) for each in results] == [(n, s) for n in FIGURES for s in range(3)]
    counts = np.array(list(draws([80], 200, 3)))
    for each in results:
        values = [figures[FIGURES.index(each.name)] for figures in measured]
        own = values[each.system]
        assert each.value == pytest.approx(estimate(own.mean(), counts @ own / 80))
        if each.system == 0:
            assert each.gain is None
        else:
            gains = own - values[0]
            assert each.gain == pytest.approx(difference(gains.mean(), counts @ gains / 80))


def test_nothing_to_find_at_all_is_one_line():
    figures = label_figures(angles(0, 1), singles("ab"))
    with pytest.raises(DataError, match=r"^no query shares a label with another text$"):
        evaluate_labels([figures])


def test_systems_of_different_queries_are_refused():
    one, other = (label_figures(angles(0, 1, 2), singles(names)) for names in ("aab", "abb"))
    with pytest.raises(MismatchError, match=r"^the systems left out different queries$"):
        evaluate_labels([one, other])


# Labels that were trained on, and those that were not


def test_a_text_is_held_out_or_seen_with_all_of_its_labels():
    rows = [LabelledText(text, tuple(text), (1.0,) * len(text)) for text in ("a", "b", "ab", "c", "bc")]
    texts = Labelled(rows, multiple=True, blank=2)
    assert held_out(texts, ["a", "b"]).texts() == ["c"]
    assert seen_only(texts, ["a", "b"]).texts() == ["a", "b", "ab"]
    assert seen_only(texts, ["a", "b"]).blank == 2
    assert held_out(texts, []).texts() == texts.texts()


# Real data


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project")
def test_the_published_figures_of_unseen_labels():
    texts = read_labelled([str(DATA / "banking77-en/test.csv")])
    vectors = remember(load("minilm"), texts.texts())
    choices = np.random.default_rng(0)
    found = []
    for _ in range(5):
        kept = seen_only(texts, choices.choice(texts.names(), 27, replace=False).tolist())
        figures = label_figures(vectors.encode(kept.texts()), [row.labels for row in kept.rows])
        found.append([100 * values.mean() for values in figures[:4]])
    np.testing.assert_allclose(np.mean(found, axis=0), [95.74, 98.43, 98.89, 69.59], atol=2.5)
