"""The weight of fused search: values by the formula, the choice by slow loops, kept where it is certain."""

from collections import Counter
from math import log, log2

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.text.record import Record
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.errors import DataError
from embedkit.evaluation.fusion_tuning import (
    FOLDS,
    WEIGHTS,
    choose_weight,
    kept_weight,
    tune_weight,
    weight_results,
    weight_values,
)
from embedkit.evaluation.measures import parse_measures
from embedkit.evaluation.retrieval import run_figures, task_of
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

HASH = load("hash:dim=16")
WORDS = "kat dog rivr ston bred mon tre song nigt dor hous gardn".split()  # noqa: SIM905
(NDCG,) = parse_measures(["nDCG@10"])
DEFAULT = WEIGHTS.index(0.7)


@pytest.fixture
def judged(folder):
    """An index of three segments with deleted rows, its texts by id, 40 queries, their vectors, the task."""
    numbers = np.random.default_rng(5)
    texts = {f"d{n}": " ".join(numbers.choice(WORDS, numbers.integers(2, 9))) for n in range(90)}
    ids = list(texts)

    def batch(ids):
        table = pa.table({"id": ids, "text": [texts[id] for id in ids]})
        return Batch(table, HASH.encode([texts[id] for id in ids]))

    meta = VectorMeta(16, HASH.identity)
    build_index("x.idx", meta, [batch(ids[:50])])
    add("x.idx", meta, [batch(ids[50:70])])
    add("x.idx", meta, [batch(ids[70:])])
    for gone in ids[45:55]:
        texts.pop(gone)
    delete("x.idx", ids[45:55])
    queries = [Record(f"q{n}", " ".join(numbers.choice(WORDS, 3)), {}) for n in range(39)]
    queries.append(Record("d3", texts["d3"], {}))  # a document that is a query
    qrels = {
        record.id: {
            str(id): int(numbers.integers(0, 3)) for id in numbers.choice(list(texts), 9, replace=False)
        }
        for record in queries
    }
    for grades in qrels.values():
        grades["d7"] = 1
    vectors = HASH.encode([record.text for record in queries], "query")
    return Index.open("x.idx"), texts, queries, vectors, task_of(qrels)


def standardised(scores):
    values = np.array(list(scores.values()))
    return {id: (score - values.mean()) / values.std() for id, score in scores.items()}


def slow_bm25(texts, query):
    """The formula of Lucene's BM25, a document at a time; the words above are their own stems."""
    counts = {id: Counter(text.split()) for id, text in texts.items()}
    mean = np.mean([count.total() for count in counts.values()])
    scores = dict.fromkeys(texts, 0.0)
    for term in query.split():
        holding = sum(term in count for count in counts.values())
        idf = log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for id, count in counts.items():
            scores[id] += idf * count[term] / (count[term] + 1.2 * (0.25 + 0.75 * count.total() / mean))
    return scores


def slow_ndcg(ranking, grades):
    def gain(found):
        return sum(grade / log2(place + 2) for place, grade in enumerate(found[:10]))

    return gain([max(grades.get(id, 0), 0) for id in ranking]) / gain(sorted(grades.values(), reverse=True))


@pytest.mark.parametrize("keep_self", [False, True])
def test_values_are_those_of_the_formula(judged, keep_self):
    index, texts, queries, vectors, task = judged
    task = task._replace(keep_self=keep_self)
    values = weight_values(index, vectors, queries, task, NDCG)
    stored = dict(zip(texts, HASH.encode(list(texts.values())), strict=True))
    expected = np.empty((len(WEIGHTS), len(queries)))
    for column, (record, vector) in enumerate(zip(queries, vectors, strict=True)):
        dense = standardised({id: float(vector @ own) for id, own in stored.items()})
        words = standardised(slow_bm25(texts, record.text))
        for row, weight in enumerate(WEIGHTS):
            fused = {id: round(weight * dense[id] + (1 - weight) * words[id], 4) for id in texts}
            order = sorted(fused, key=lambda id: (fused[id], id), reverse=True)
            kept = [id for id in order if keep_self or id != record.id]
            expected[row, column] = slow_ndcg(kept, task.qrels[record.id])
    near = np.isclose(values, expected, atol=1e-6)
    assert near.mean() > 0.99  # scores that differ in their last digits may change places
    assert abs(values - expected).mean() < 1e-3
    assert values.std(axis=0).max() > 0.05


@pytest.mark.parametrize("measure", ["nDCG@10", "AP", "R@3"])
def test_values_are_those_of_searches(judged, measure):
    index, _, queries, vectors, task = judged
    measures = parse_measures([measure])
    values = weight_values(index, vectors, queries, task, measures[0])
    words = [literal_query(record.text, index.lexical.settings) for record in queries]
    for row in (1, 7, 14, 19):
        found = hits(index, vectors, Query(90, fusion=Fusion(WEIGHTS[row])), ["id"], words)
        answers = [
            (record.id, {hit.document["id"]: hit.score for hit in line})
            for record, line in zip(queries, found, strict=True)
        ]
        np.testing.assert_array_equal(values[row], run_figures(measures, task, answers).values[0])


def test_the_choice_is_that_of_slow_loops():
    values = np.random.default_rng(1).random((len(WEIGHTS), 63)) + np.linspace(0, 0.2, len(WEIGHTS))[:, None]
    choice = choose_weight(values, seed=3)
    folds = np.random.default_rng(3).permutation(63) % FOLDS
    for query in range(63):
        best, highest = None, -1.0
        for row in range(len(WEIGHTS)):
            mean = np.mean([values[row, other] for other in range(63) if folds[other] != folds[query]])
            if mean > highest:
                best, highest = row, mean
        assert choice.held_out[query] == values[best, query]
    assert choice.best == WEIGHTS[int(values.mean(axis=1).argmax())]
    gains = choice.held_out - values[DEFAULT]
    error = gains.std() / np.sqrt(63)
    assert choice.gain.value == pytest.approx(gains.mean())
    assert choice.gain.low == pytest.approx(gains.mean() - 1.96 * error, abs=0.3 * error)
    assert choice.gain.high == pytest.approx(gains.mean() + 1.96 * error, abs=0.3 * error)
    assert np.bincount(folds).tolist() == [7, 7, 7, 6, 6, 6, 6, 6, 6, 6]


def test_a_certain_gain_is_kept():
    values = np.random.default_rng(2).random((1, 80)) * np.ones((len(WEIGHTS), 1)) * 0.5
    values[6] += 0.2 + 0.1 * np.random.default_rng(3).random(80)
    kept = kept_weight(choose_weight(values), NDCG)
    assert (kept.weight, kept.measure, kept.queries) == (0.3, "nDCG@10", 80)
    assert kept.value == pytest.approx(values[6].mean())
    assert kept.default_value == pytest.approx(values[DEFAULT].mean())
    assert 0.2 < kept.low < kept.value - kept.default_value < kept.high < 0.3


def test_a_gain_that_is_chance_is_rarely_kept():
    """Each query has a best weight of its own, on average the default; the best weight of 40 queries is then
    mostly another one. The interval's own error is 2.5 %.
    """
    kept = other = 0
    for seed in range(200):
        numbers = np.random.default_rng(seed)
        behind = abs(np.array(WEIGHTS)[:, None] - numbers.normal(0.7, 0.3, 40)) ** 1.5
        values = numbers.random(40) - 1.5 * behind + 0.05 * numbers.normal(size=behind.shape)
        choice = choose_weight(values, seed=seed, resamples=200)
        other += choice.best != 0.7
        kept += choice.is_certain
        assert (kept_weight(choice, NDCG) is not None) == choice.is_certain
    assert other > 100
    assert kept <= 8


def test_the_default_stays_where_it_is_the_best_or_as_good():
    values = np.ones((len(WEIGHTS), 40))
    for worse in (slice(0, 0), slice(0, DEFAULT)):
        values[worse] = 0.5
        choice = choose_weight(values)
        assert choice.best == 0.7
        assert choice.gain[:3] == (0, 0, 0)
        assert kept_weight(choice, NDCG) is None


def test_too_few_queries_are_an_error():
    with pytest.raises(DataError, match=r"^a weight is chosen on at least 20 judged queries, found 19$"):
        choose_weight(np.ones((len(WEIGHTS), 19)))


def test_results_are_in_order_with_differences_from_the_default():
    values = np.random.default_rng(1).random((len(WEIGHTS), 30))
    results = weight_results(values, NDCG)
    assert [each.value.value for each in results] == pytest.approx(values.mean(axis=1))
    gains = [0 if each.gain is None else each.gain.value for each in results]
    assert gains == pytest.approx(values.mean(axis=1) - values[DEFAULT].mean())


def test_the_weight_of_an_index_is_tuned_in_one_step(judged):
    index, _, queries, vectors, task = judged
    values = weight_values(index, vectors, queries, task, NDCG)
    expected = kept_weight(choose_weight(values, 0.15), NDCG)
    assert tune_weight(index, vectors, queries, task) == expected
