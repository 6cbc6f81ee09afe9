"""Correlations and their resamples against scipy; cosines and aggregations against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from embedkit.data.affine import AffineMap
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import draws
from embedkit.evaluation.ranks import Ranks, weighted_correlation
from embedkit.evaluation.sts import (
    Scored,
    cosines,
    evaluate,
    pearson,
    quotients,
    remember,
    score,
    spearman,
    texts_of,
)

NUMBERS = np.random.default_rng(8)
PAIRS = [Pair("a cat", "a cat", 5.0), Pair("a cat", "two dogs", 1.0), Pair("one", "two dogs", 0.0)]


def scored(name, rows, systems=2, seed=0):
    numbers = np.random.default_rng(seed)
    gold = numbers.integers(0, 6, rows).astype(float)  # with ties
    return Scored(name, gold, gold + numbers.normal(size=(systems, rows)) * (1 + np.arange(systems))[:, None])


class Counting:
    """The hash encoder, which remembers what it was asked for."""

    def __init__(self):
        self.encoder, self.asked = load("hash:dim=16"), []
        self.identity = self.encoder.identity

    def encode(self, texts, role="document"):
        self.asked += texts
        return self.encoder.encode(texts, role)


# Correlations


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 2)), min_size=3))
def test_correlations_are_those_of_scipy_with_ties(rows):
    x, y = np.array(rows, dtype=float).T
    if np.ptp(x) and np.ptp(y):
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("correlation", [spearman, pearson])
@pytest.mark.parametrize(
    ("x", "y"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1]), ([1], [2]), ([], [])]
)
def test_what_is_constant_correlates_with_nothing(correlation, x, y):
    assert correlation(x, y) == 0


def test_tied_values_share_their_mean_rank():
    """By hand: ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4 have the covariance 4.5 and the squares 4.5 and 5."""
    assert spearman([0, 7, 7, 9], [1, 30, 2, 40]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_scores_for_other_pairs_are_refused_with_both_shapes():
    with pytest.raises(MismatchError, match=r"^got scores of shape \(2,\) for pairs of shape \(3,\)$"):
        spearman([1, 2], [1, 2, 3])


def test_a_resample_correlates_as_if_its_rows_were_written_out():
    for counts in draws([40], 30):
        x, y = NUMBERS.normal(size=40), NUMBERS.integers(0, 3, 40).astype(float)
        a, b = (np.repeat(side, counts.astype(int)) for side in (x, y))
        mine = weighted_correlation(Ranks(x).within(counts), Ranks(y).within(counts), counts)
        assert mine == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        assert weighted_correlation(x, y, counts) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)


def test_ranks_in_a_resample_are_those_of_its_rows_written_out():
    x, counts = np.array([3.0, 1.0, 3.0, 2.0]), np.array([2.0, 1.0, 1.0, 3.0])
    assert stats.rankdata(np.repeat(x, counts.astype(int))).tolist() == [6, 6, 1, 6, 3, 3, 3]
    assert Ranks(x).within(counts).tolist() == [6, 1, 6, 3]


def test_a_resample_that_is_constant_has_no_correlation():
    x, counts = np.array([0.1, 0.1, 7.0]), np.array([2.0, 1.0, 0.0])
    assert np.isnan(weighted_correlation(x, np.arange(3.0), counts))
    assert np.isnan(weighted_correlation(np.arange(3.0), x, counts))


def test_resamples_without_a_correlation_do_not_pull_its_interval_to_zero():
    """Of three pairs in one order a resample has the correlation 1, or none where one is drawn thrice."""
    x = np.arange(3.0)
    (result,) = evaluate([Scored("three", x, x[None])])
    assert result.spearman == result.pearson == pytest.approx((1, 1, 1))
    (_, gain) = evaluate([Scored("three", x, np.array([x, -x]))])
    assert gain.gain[:3] == pytest.approx((-2, -2, -2))


@pytest.mark.parametrize("scores", [[], [1.0], [0.0, 1.0]])
def test_one_pair_or_two_have_no_correlation(scores):
    found = "is 1 pair" if len(scores) == 1 else f"are {len(scores)} pairs"
    with pytest.raises(DataError, match=rf"^few: a correlation needs 3 pairs or more, there {found}$"):
        evaluate([Scored("few", np.array(scores), np.array([scores]))])


def test_equal_scores_or_equal_cosines_have_no_correlation():
    x, same = np.arange(4.0), np.full(4, 0.1)
    with pytest.raises(
        DataError, match=r"^a: the scores of all 4 pairs are 0\.1, so there is no correlation$"
    ):
        evaluate([Scored("b", x, x[None]), Scored("a", same, x[None])])
    with pytest.raises(DataError, match=r"^a: the cosines of all 4 pairs are 0\.1, so"):
        evaluate([Scored("a", x, same[None])])
    with pytest.raises(DataError, match=r"^a: the cosines by system 2 of all 4 pairs are 0\.1, so"):
        evaluate([Scored("a", x, np.array([x, same]))])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_by_pair(number):
    for sides in (([1, number, 2], [1, 2, 3]), ([1, 2, 3], [1, number, 2])):
        for correlation in (spearman, pearson):
            with pytest.raises(DataError, match=rf"^the score of pair 2 is {number}, which is not a finite"):
                correlation(*sides)


class Spoilt:
    """An encoder whose vector of one text holds a number that is not finite."""

    def __init__(self, number):
        self.plain, self.number = load("hash:dim=16"), number
        self.identity = self.plain.identity

    def encode(self, texts, role="document"):
        vectors = self.plain.encode(texts, role)
        vectors[[text == PAIRS[1].first for text in texts], 3] = self.number
        return vectors


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_no_cosine_of_zero(number):
    with pytest.raises(DataError) as error:
        cosines(Spoilt(number), PAIRS)
    assert str(error.value) == f"the vector of {PAIRS[1].first!r} has a number that is not finite"


# Cosines


def test_cosines_are_those_of_the_formula():
    encoder = with_maps(load("hash:dim=16"), [AffineMap(np.diag(np.arange(16.0)), np.ones(16), {})])
    for pair, cosine in zip(PAIRS, cosines(encoder, PAIRS), strict=True):
        x, y = encoder.encode(pair[:2]).astype(float)
        assert cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-12)


def test_equal_texts_tie_at_one_and_no_text_is_like_nothing():
    words = [f"some word {number}" for number in range(300)]
    same = cosines(load("hash:dim=64"), [Pair(word, word, 1) for word in words])
    assert set(same.tolist()) == {1.0}
    assert cosines(load("hash:dim=64"), [Pair("", "word", 1)]).tolist() == [0.0]


def test_vectors_however_short_have_a_direction():
    tiny = np.array([1e-40])
    assert quotients(tiny, tiny, tiny).tolist() == [1.0]


def test_each_text_is_encoded_once():
    encoder = Counting()
    cosines(encoder, PAIRS)
    assert sorted(encoder.asked) == ["a cat", "one", "two dogs"]


def test_a_remembered_encoder_gives_the_same_vectors_in_any_order():
    encoder = Counting()
    remembered = remember(encoder, texts_of(PAIRS))
    asked = ["two dogs", "a cat", "two dogs"]
    np.testing.assert_array_equal(remembered.encode(asked), load("hash:dim=16").encode(asked))
    assert (remembered.identity, len(encoder.asked)) == (encoder.identity, 3)


def test_no_pairs_have_no_cosines():
    assert cosines(load("hash:dim=16"), []).shape == (0,)


def test_pairs_beyond_a_block_keep_their_order():
    pairs = [Pair(f"word {number}", f"word {number % 7}", 0) for number in range(9000)]
    many = cosines(load("hash:dim=8"), pairs)
    assert many[8500] == cosines(load("hash:dim=8"), pairs[8500:8501])[0]


# Results


def test_one_file_has_one_result_a_system():
    results = evaluate([scored("a", 50)], resamples=100)
    assert [(each.name, each.system, each.rows) for each in results] == [("a", 0, 50), ("a", 1, 50)]


def test_several_files_are_aggregated_as_the_names_say():
    files = [scored("a", 40, seed=1), scored("b", 120, seed=2)]
    results = {(each.name, each.system): each for each in evaluate(files, resamples=100)}
    assert [name for name, system in results if system == 0] == ["a", "b", "all", "mean", "wmean"]
    for measure, oracle in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        for system in (0, 1):
            value = {name: getattr(results[name, system], measure).value for name, _ in results}
            a, b = (oracle(file.predicted[system], file.gold).statistic for file in files)
            gold = np.concatenate([file.gold for file in files])
            together = oracle(np.concatenate([file.predicted[system] for file in files]), gold).statistic
            expected = {
                "a": a,
                "b": b,
                "all": together,
                "mean": (a + b) / 2,
                "wmean": (40 * a + 120 * b) / 160,
            }
            assert value == pytest.approx(expected)
    assert [results[name, 0].rows for name in ("a", "b", "all", "mean", "wmean")] == [40, 120, 160, 160, 160]


def test_intervals_are_those_of_scipy():
    file = scored("a", 300, systems=1)
    oracle = stats.bootstrap(
        (file.predicted[0], file.gold),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True, vectorized=False, n_resamples=600, method="percentile", rng=4,
    ).confidence_interval  # fmt: skip
    (result,) = evaluate([file])
    np.testing.assert_allclose(result.spearman[1:], [oracle.low, oracle.high], atol=0.01)  # of a width of .1


def test_a_gain_is_paired():
    gold, x = NUMBERS.normal(size=(2, 300))
    nearly = x + 1e-3 * NUMBERS.normal(size=300)
    first, second = evaluate([Scored("a", gold, np.array([x, nearly]))])
    assert first.gain is None
    assert second.gain.value == second.spearman.value - first.spearman.value
    assert second.gain.high - second.gain.low < 0.05 * (second.spearman.high - second.spearman.low)


def test_a_system_gains_nothing_over_itself():
    file = scored("a", 60, systems=1)
    _, again = evaluate([Scored("a", file.gold, np.repeat(file.predicted, 2, axis=0))], resamples=100)
    assert again.gain == (0, 0, 0, 1)


def test_the_gain_over_a_worse_system_is_sure():
    _, worse = evaluate([scored("a", 400)])
    assert worse.gain.high < 0
    assert worse.gain.p < 0.01


def test_score_asks_every_encoder():
    file = score("a", PAIRS, [load("hash:dim=16"), load("hash:dim=32")])
    assert (file.name, file.gold.tolist()) == ("a", [5, 1, 0])
    np.testing.assert_array_equal(file.predicted[1], cosines(load("hash:dim=32"), PAIRS))
