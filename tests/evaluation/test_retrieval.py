"""Rankings and what is counted of them, against trec_eval, plain loops, and simulations with known truth."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import embedkit.evaluation.retrieval
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import draws
from embedkit.evaluation.measures import parse_measures
from embedkit.evaluation.retrieval import absent_from, evaluate_retrieval, ranked, run_figures, task_of

NAMES = ["nDCG@10", "AP", "RR@10"]
MEASURES = parse_measures(NAMES)
QRELS = {"q1": {"a": 1, "b": 0}, "q2": {"a": 2, "c": 1}, "none": {"a": 0, "b": -1}}


def values(found, name="AP"):
    return found.values[NAMES.index(name)].tolist()


# Order

SCORES = st.dictionaries(
    st.text(alphabet="abAB01é词𝄞", min_size=1, max_size=3),
    st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-9, -3.0, 1e300, -1e-50]),
    min_size=1,
)


@given(SCORES, st.data())
def test_the_order_is_trec_eval_s_whatever_ties(scores, data):
    for document in data.draw(st.sets(st.sampled_from(sorted(scores)), min_size=1)):
        place = ranked(scores).index(document) + 1
        oracle = ir_measures.pytrec_eval.iter_calc([ir_measures.RR], {"q": {document: 1}}, {"q": scores})
        assert next(oracle).value == pytest.approx(1 / place)


def test_ties_go_to_the_last_id_and_scores_are_compared_as_float32():
    assert ranked({"a": 1 + 1e-9, "c": 1, "b": 1, "z": 0.5}) == ["c", "b", "a", "z"]
    assert ranked({"a": 1.0001, "c": 1}) == ["a", "c"]
    assert ranked({"10": 0, "9": 0}) == ["9", "10"]  # as text
    assert ranked({}) == []


def test_constant_scores_give_the_order_of_ids_and_are_counted():
    task = task_of({"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"b": 1}})
    answers = {"q1": {"a": 0.5, "b": 0.5}, "q2": {"a": 0.5, "b": 0.5}, "q3": {"b": 1}, "x": {"a": 1, "b": 1}}
    found = run_figures(MEASURES, task, answers.items())
    assert (values(found), found.constant) == ([0.5, 1, 1], 2)


# What is counted


def test_queries_for_which_nothing_is_relevant_are_left_out():
    task = task_of(QRELS)
    assert (list(task.qrels), task.left_out) == (["q1", "q2"], 1)
    found = run_figures(MEASURES, task, {"none": {"a": 1}, "q1": {"a": 1}, "q2": {"a": 1}}.items())
    assert (values(found), found.unjudged) == ([1, 0.5], 1)
    with pytest.raises(DataError, match="no document is relevant to any of 1 queries"):
        task_of({"q": {"a": 0}})


def test_judged_queries_without_hits_count_as_0():
    found = run_figures(MEASURES, task_of(QRELS), {"q2": {"a": 1, "c": 0.5}, "q1": {}}.items())
    assert [row.tolist() for row in found.values] == [[0, 1]] * 3
    assert (found.missing, found.unjudged) == (1, 0)


def test_queries_without_judgements_are_left_out_and_counted():
    answers = {"q2": {"a": 1, "c": 0.5}, "new": {"a": 1}, "q1": {"a": 1}, "other": {}}
    found = run_figures(MEASURES, task_of(QRELS), answers.items())
    assert (values(found), found.missing, found.unjudged) == ([1, 1], 0, 2)


def test_documents_without_judgements_are_not_relevant_and_their_share_is_told():
    answers = {"q1": {"new": 3, "a": 2, "b": 1, "other": 0.5}}
    found = run_figures(MEASURES, task_of(QRELS), answers.items())
    assert values(found) == [0.5, 0]
    assert found.judged == 2 / 4  # over queries with hits
    many = {"q1": {"a": 99} | {f"x{number}": number for number in range(50)}}
    assert run_figures(MEASURES, task_of(QRELS), many.items()).judged == 1 / 10


def test_answers_to_nothing_asked_are_refused():
    with pytest.raises(DataError) as error:
        run_figures(MEASURES, task_of(QRELS), {"Q1": {"a": 1}}.items())
    message = "none of 2 judged queries is answered, such as 'q1'; do these ids match the judgements?"
    assert str(error.value) == message


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_figures_are_those_of_ir_measures_in_any_blocks(monkeypatch, block):
    monkeypatch.setattr(embedkit.evaluation.retrieval, "_BLOCK_QUERIES", block)
    numbers = np.random.default_rng(1)
    qrels = {f"q{query}": {f"d{n}": int(n < 9) for n in numbers.permutation(40)[:20]} for query in range(20)}
    run = {
        f"q{query}": {
            f"d{n}": float(score)
            for n, score in zip(numbers.permutation(40), numbers.normal(size=30), strict=False)
        }
        for query in numbers.permutation(22)
        if query != 7
    }
    found = run_figures(MEASURES, task_of(qrels), iter(run.items()))
    computed = [each.computed for each in MEASURES]
    oracle = {(m.measure, m.query_id): m.value for m in ir_measures.iter_calc(computed, qrels, run)}
    for row, measure in zip(found.values, computed, strict=True):
        np.testing.assert_allclose(row, [oracle[measure, query] for query in qrels], rtol=1e-9)
    assert (found.missing, found.unjudged) == (1, 2)


def test_a_document_with_the_id_of_its_query_is_left_out_as_in_beir():
    """By BEIR's rule written out (retrieval/evaluation.py): `if qid == pid: results[qid].pop(pid)`."""
    numbers = np.random.default_rng(4)
    names = [str(number) for number in range(30)]
    qrels = {q: {d: int(numbers.integers(0, 2)) for d in names if d != q} | {q: q == "7"} for q in names[:12]}
    run = {
        q: {d: float(score) for d, score in zip(names, numbers.normal(size=30), strict=True)} for q in names
    }
    popped = {q: {d: score for d, score in scores.items() if q != d} for q, scores in run.items()}
    computed = [each.computed for each in MEASURES]
    for keep_self, beir in ((False, popped), (True, run)):
        found = run_figures(MEASURES, task_of(qrels, keep_self=keep_self), run.items())
        oracle = {(m.measure, m.query_id): m.value for m in ir_measures.iter_calc(computed, qrels, beir)}
        for row, measure in zip(found.values, computed, strict=True):
            np.testing.assert_allclose(row, [oracle[measure, query] for query in qrels], rtol=1e-9)
        assert (found.itself, found.itself_relevant) == ((0, 0) if keep_self else (12, 1))


def test_a_query_that_finds_nothing_but_itself_has_found_nothing():
    found = run_figures(MEASURES, task_of(QRELS), {"q1": {"q1": 1}, "q2": {"a": 1}}.items())
    assert (values(found), found.missing, found.itself) == ([0, 0.5], 1, 1)


def test_hits_are_counted_down_to_a_depth_after_the_query_itself_is_left_out():
    task = task_of({"q": {"b": 1}})
    assert task.searched(2) == 3
    answers = {"q": {"q": 4, "a": 3, "b": 2, "c": 1}}
    for depth, precision in ((1, 0), (2, 0.5), (None, 0.5)):
        assert values(run_figures(MEASURES, task, answers.items(), depth)) == [precision]
    assert task_of({"q": {"b": 1}}, keep_self=True).searched(2) == 2


def test_judgements_of_documents_that_a_corpus_lacks_are_counted():
    assert absent_from({"a", "b", "c"}, task_of(QRELS)) == (0, 0)
    assert absent_from({"a"}, task_of(QRELS)) == (2, 1)
    with pytest.raises(
        DataError, match=r"^has none of the documents that are relevant, such as 'a'; do its ids match"
    ):
        absent_from({"b"}, task_of(QRELS))


# Means


def test_means_differences_and_their_intervals():
    numbers = np.random.default_rng(2)
    first, second = numbers.random((2, 3, 40))
    results = evaluate_retrieval(MEASURES, [first, second], resamples=300, seed=5)
    assert [(each.name, each.system) for each in results] == [(name, s) for name in NAMES for s in (0, 1)]
    drawn = [counts / 40 for counts in draws([40], 300, 5)]
    for each in results:
        row = NAMES.index(each.name)
        own = (first, second)[each.system][row]
        assert each.value.value == pytest.approx(own.mean())
        samples = [own @ counts for counts in drawn]
        np.testing.assert_allclose(each.value[1:], np.quantile(samples, [0.025, 0.975]))
        if each.system:
            gains = [(own - first[row]) @ counts for counts in drawn]  # the same queries
            assert each.gain.value == pytest.approx((own - first[row]).mean())
            np.testing.assert_allclose(each.gain[1:3], np.quantile(gains, [0.025, 0.975]), atol=1e-12)
        else:
            assert each.gain is None


def test_systems_measured_otherwise_are_refused():
    for shapes in ([(3, 4), (3, 5)], [(2, 4)]):
        with pytest.raises(MismatchError, match="there are 3 measures, and values of shapes"):
            evaluate_retrieval(MEASURES, [np.zeros(shape) for shape in shapes])


def test_intervals_hold_the_truth_95_times_in_100():
    """200 samples of 150 queries whose reciprocal ranks, 0 to 1 and skewed, have a mean that is known."""
    numbers = np.random.default_rng(11)
    ranks, chances = 1 / np.arange(1, 11), np.geomspace(1, 0.02, 11)
    figures, chances = np.append(ranks, 0), chances / chances.sum()
    truth, held, gains_held = figures @ chances, 0, 0
    for sample in range(200):
        first = numbers.choice(figures, p=chances, size=150)
        second = np.where(numbers.random(150) < 0.3, numbers.choice(figures, p=chances, size=150), first)
        results = evaluate_retrieval(parse_measures(["RR@10"]), [first[None], second[None]], seed=sample)
        held += results[0].value.low <= truth <= results[0].value.high
        gains_held += results[1].gain.low <= 0 <= results[1].gain.high  # both have the same mean
    assert 182 <= held <= 196
    assert 182 <= gains_held <= 196
