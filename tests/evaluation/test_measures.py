"""Measures by name, against worked examples, definitions by slow loops, and trec_eval itself."""

import math
import warnings

import ir_measures
import numpy as np
import pytest

from embedkit.errors import UnknownNameError, UsageError
from embedkit.evaluation.measures import DEFAULTS, parse_measures, values_of


def one(name, grades, documents):
    """Return one measure of one ranking."""
    return float(values_of(parse_measures([name]), [grades], [documents])[0, 0])


# Worked examples

# Järvelin and Kekäläinen 2002, ACM TOIS 20(4), section 2.1: the gains of a ranking, and of the ideal one.
GAINS = [3, 2, 3, 0, 0, 1, 2, 2, 3, 0]
IDEAL = [3, 3, 3, 2, 2, 2, 1, 1, 1, 1]
PAPER_DCG = [3, 5, 6.89, 6.89, 6.89, 7.28, 7.99, 8.66, 9.61, 9.61]
PAPER_IDEAL_DCG = [3, 6, 7.89, 8.89, 9.75, 10.52, 10.88, 11.21, 11.53, 11.83]
PAPER_NDCG = [1, 0.83, 0.87, 0.77, 0.71, 0.69, 0.73, 0.77, 0.83, 0.81]


def dcg(gains, discount):
    """Return the discounted cumulated gain at each rank."""
    return np.cumsum([gain / discount(rank) for rank, gain in enumerate(gains, 1)])


def test_ndcg_by_the_example_of_its_paper():
    def paper(rank):
        return max(1, math.log2(rank))

    def trec_eval(rank):  # the one thing that differs: the second rank is discounted too
        return math.log2(rank + 1)

    np.testing.assert_allclose(dcg(GAINS, paper), PAPER_DCG, atol=0.011)
    np.testing.assert_allclose(dcg(IDEAL, paper), PAPER_IDEAL_DCG, atol=0.011)
    np.testing.assert_allclose(dcg(GAINS, paper) / dcg(IDEAL, paper), PAPER_NDCG, atol=0.011)
    documents = [f"d{rank}" for rank in range(10)]
    grades = dict(zip(documents, GAINS, strict=True))
    missed = sorted(IDEAL)
    for gain in GAINS:
        if gain in missed:
            missed.remove(gain)
    grades |= {f"missed{number}": gain for number, gain in enumerate(missed)}
    assert sorted(grades.values(), reverse=True)[:10] == IDEAL
    expected = dcg(GAINS, trec_eval) / dcg(IDEAL, trec_eval)
    for rank in range(1, 11):
        assert one(f"nDCG@{rank}", grades, documents) == pytest.approx(expected[rank - 1], rel=1e-9)


# Manning, Raghavan and Schuetze 2008, Introduction to Information Retrieval, exercises 8.8 and 8.9: R is
# relevant, N is not; of the second query 8 documents in 10 000 are, 6 of them in the first 20.
FIRST, SECOND, TWENTY = "RNRNNNNNRR", "NRNNRRRNNN", "RRNNNNNNRNRNNNRNNNNR"


def of_letters(name, letters, relevant):
    """Return one measure of a ranking of R and N, where `relevant` documents are there to be found."""
    documents = [f"{letter}{rank}" for rank, letter in enumerate(letters)]
    grades = {document: int(document[0] == "R") for document in documents}
    missed = {f"missed{number}": 1 for number in range(relevant - letters.count("R"))}
    return one(name, grades | missed, documents)


@pytest.mark.parametrize(
    ("name", "letters", "relevant", "value"),
    [
        ("AP", FIRST, 4, (1 + 2 / 3 + 3 / 9 + 4 / 10) / 4),  # 0.6
        ("AP", SECOND, 4, (1 / 2 + 2 / 5 + 3 / 6 + 4 / 7) / 4),  # 0.493
        ("Rprec", FIRST, 4, 1 / 2),
        ("Rprec", SECOND, 4, 1 / 4),
        ("P@20", TWENTY, 8, 0.3),
        ("R@20", TWENTY, 8, 0.75),
        ("AP", TWENTY, 8, (1 + 1 + 3 / 9 + 4 / 11 + 5 / 15 + 6 / 20) / 8),
        ("AP", f"{TWENTY}RR", 8, 0.503),  # the largest it may be of the whole collection
        ("AP", f"{TWENTY}{9978 * 'N'}RR", 8, 0.416),  # the smallest
    ],
)
def test_the_exercises_of_a_textbook(name, letters, relevant, value):
    assert of_letters(name, letters, relevant) == pytest.approx(value, abs=5e-4)


def test_reciprocal_ranks_of_the_example_that_everyone_gives():
    """First hits on ranks 3, 2 and 1 have the mean 11 / 18."""
    rankings = [list("xyr"), list("xry"), list("rxy")]
    values = values_of(parse_measures(["RR"]), [{"r": 1}] * 3, rankings)
    assert values.mean() == pytest.approx(11 / 18)


GRADES = {"a": 1, "b": 0, "c": 2, "d": 1, "e": -1}


@pytest.mark.parametrize(
    ("name", "documents", "value"),
    [
        ("AP", "xaycb", (1 / 2 + 2 / 4) / 3),  # d is never found
        ("AP@2", "xaycb", (1 / 2) / 3),
        ("MAP", "acd", 1),
        ("RR", "xyc", 1 / 3),
        ("RR@10", "ebc", 1 / 3),  # grades below 1 are not relevant
        ("MRR@2", "xyc", 0),
        ("R@1", "cad", 1 / 3),
        ("Recall@5", "bcxdy", 2 / 3),
        ("P@5", "bcxdy", 2 / 5),
        ("P(rel=2)@5", "bcxdy", 1 / 5),
        ("Success@1", "bc", 0),
        ("Success@2", "bc", 1),
        ("Rprec", "cxd", 2 / 3),
        ("Judged@2", "cx", 1 / 2),
        ("nDCG@2", "ac", (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))),
        ("nDCG", "xyz", 0),
        *((name, "", 0) for name in DEFAULTS),  # no hit at all
    ],
)
def test_measures_by_hand(name, documents, value):
    assert one(name, GRADES, list(documents)) == pytest.approx(value, rel=1e-9)


def test_measures_are_those_of_trec_eval_in_the_order_it_would_have():
    numbers = np.random.default_rng(4)
    judged, rankings = [], []
    for _ in range(30):
        documents = [f"d{number}" for number in numbers.permutation(200)]
        judged.append({name: int(numbers.integers(0, 4)) for name in documents[: numbers.integers(1, 60)]})
        rankings.append([str(name) for name in numbers.permutation(documents)[: numbers.integers(0, 150)]])
    names = ["nDCG@10", "nDCG", "AP", "RR", "R@100", "P(rel=2)@5", "Bpref", "AP(rel=3)@20"]
    measures = parse_measures(names)
    run = {
        str(query): {document: -float(rank) for rank, document in enumerate(ranking)}
        for query, ranking in enumerate(rankings)
        if ranking
    }
    qrels = {str(query): grades for query, grades in enumerate(judged)}
    oracle = {
        (int(metric.query_id), str(metric.measure)): metric.value
        for metric in ir_measures.pytrec_eval.iter_calc([each.computed for each in measures], qrels, run)
    }
    values = values_of(measures, judged, rankings)
    for place, name in enumerate(names):
        np.testing.assert_allclose(values[place], [oracle[query, name] for query in range(30)], rtol=1e-9)


def test_ids_may_be_anything():
    odd = {"two words": 1, "": 0, "tab\tand\nline": 2, "词": 0, "0": 1}
    plain = dict(zip("abcde", odd.values(), strict=True))
    names = [*DEFAULTS, "Judged@10", "Compat"]
    values = values_of(parse_measures(names), [odd], [list(odd)[-2::-1]])  # "0", a rank, is not found
    np.testing.assert_array_equal(values, values_of(parse_measures(names), [plain], [list("dcba")]))


def test_no_queries_and_no_measures_twice():
    assert values_of(parse_measures(["AP"]), [], []).shape == (1, 0)
    measures = parse_measures([" AP ", "AP", "MAP"])
    assert [each.name for each in measures] == ["AP", "MAP"]  # as they were typed
    np.testing.assert_array_equal(values_of(measures, [{"a": 1}], [["x", "a"]]), [[0.5], [0.5]])


def test_cutoffs():
    names = ["nDCG@10", "AP", "R@100", "P(rel=2)@5"]
    assert [each.cutoff for each in parse_measures(names)] == [10, 0, 100, 5]


# What is refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nDGC@10", "unknown measure 'nDGC'; did you mean nDCG?"),
        ("ndcg@10", "unknown measure 'ndcg'; known: NDCG, nDCG"),
        ("recal@5", "unknown measure 'recal'; did you mean Recall?"),
    ],
)
def test_an_unknown_name_is_told_with_a_near_one(name, message):
    with pytest.raises(UnknownNameError) as error:
        parse_measures([name])
    assert str(error.value) == f"`measure`: {message}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("R", "R needs a cutoff; write it like R@10"),
        ("NERR8@5", "NERR8@5 needs a max_rel; write it like NERR8(max_rel=...)"),
        ("nDCG@0", "nDCG@0 has no cutoff 0; ranking cutoff threshold"),  # ends the process in trec_eval
        ("nDCG@-1", "nDCG@-1 has no cutoff -1; "),
        ("nDCG@10000000", "nDCG@10000000 has no cutoff 10000000; "),
        ("nDCG@1.5", "nDCG@1.5 has no cutoff 1.5; "),
        ("nDCG@True", "nDCG@True has no cutoff True; "),
        ("P(rel=True)@5", "P(rel=True)@5 has no rel True; "),
        ("IPrec@1.5", "IPrec@1.5 has no recall 1.5; recall threshold"),
        ("P(rel=0)@5", "P(rel=0)@5 has no rel 0; "),
        ("nDCG(gains={1: -2})@5", "nDCG(gains={1: -2})@5 has no gains {1: -2}; "),
        ("nDCG(gains={1: 1.5})@5", "nDCG(gains={1: 1.5})@5 has no gains {1: 1.5}; "),
        ("AP(foo=1)", "AP(foo=1) has no setting foo; it has cutoff, rel, judged_only"),
        ("NumRet", "NumRet is a count over all queries, not a mean over them"),
        ("alpha_nDCG@10", "alpha_nDCG@10 needs a program that ir_measures does not find here"),
        ("", "'' is not a measure; write one like nDCG@10, AP or P(rel=2)@5"),
        ("nDCG@", "'nDCG@' is not a measure; "),
        ("nDCG@x", "'nDCG@x' is not a measure; "),
        ("nDCG@10@5", "'nDCG@10@5' is not a measure; "),
        ("AP(5)", "'AP(5)' is not a measure; "),
        ("AP(**{1: 2})", "AP(**{1: 2}) has no setting None; "),
        ("AP()()", "'AP()()' is not a measure; "),
        ("__import__('os')", "\"__import__('os')\" is not a measure; "),
        ("(" * 5000, "'((((("),
    ],
)
def test_what_cannot_be_computed_is_refused_in_words(name, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError) as error:
            parse_measures([name])
    assert str(error.value).startswith(f"`measure`: {message}")


@pytest.mark.parametrize(("names", "hits"), [(["AP", "Accuracy"], ["c"]), (["Accuracy"], ["d"])])
def test_a_measure_without_a_value_for_a_query_is_refused(names, hits):
    with pytest.raises(UsageError, match="Accuracy has no value for some query, so there is no mean"):
        values_of(parse_measures(names), [{"a": 1, "b": 0}, {"c": 1}], [["a", "b"], hits])
