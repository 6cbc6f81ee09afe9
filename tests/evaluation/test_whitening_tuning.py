"""Tuned whitening: candidates against maps that are really fitted, the choice on scores made for it."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.model_selection import KFold

from embedkit.data.identity import Identity
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.whitening_grid import Grid, dimensions
from embedkit.evaluation.whitening_tuning import choose, tune, tuned_map
from embedkit.transforms.kinds.whitening import Whitening
from embedkit.transforms.streaming import fourth_moments_of

SCALES = 1.3 ** -np.arange(40.0)
GRID = Grid(beta=(1.0, 0.3), gamma=(1.0, 0.5, 0.0), shrinkage=(None, 0.2, "ledoit-wolf"))


def hidden(rows, seed):
    """Return pairs whose score is the cosine before columns were scaled apart, and moved off the origin."""
    numbers = np.random.default_rng(seed)
    X = numbers.normal(size=(rows, 40))
    Y = numbers.uniform(0, 1, size=(rows, 1)) * X + numbers.normal(size=X.shape)
    gold = (X * Y).sum(axis=1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)
    return (X * SCALES + 2).astype(np.float32), (Y * SCALES + 2).astype(np.float32), gold


X, Y, GOLD = hidden(300, 1)
MOMENTS = fourth_moments_of([hidden(2000, 2)[0]])


def cosines(P, Q):
    return (P * Q).sum(axis=1) / np.linalg.norm(P, axis=1) / np.linalg.norm(Q, axis=1)


def fold_scores(P, Q, gold, seed=0):
    folds = KFold(10, shuffle=True, random_state=seed).split(P)
    return [spearmanr(cosines(P, Q)[fold], gold[fold]).statistic for _, fold in folds]


def apply(fitted, rows):
    return rows.astype(float) @ fitted.A.T + fitted.b


def test_the_scores_of_every_candidate_are_those_of_the_map_fitted_and_applied():
    tuning = tune(MOMENTS, X, Y, GOLD, grid=GRID, seed=3)
    assert len(tuning.candidates) == 1 + 2 * (2 * 3 + 1) * 2  # two dimensions, and gamma=0 is not shrunk
    for candidate in tuning.candidates:
        P, Q = X.astype(float), Y.astype(float)
        if candidate.settings:
            fitted = candidate.settings.fit_moments(MOMENTS)
            P, Q = apply(fitted, X), apply(fitted, Y)
        np.testing.assert_allclose(candidate.scores, fold_scores(P, Q, GOLD, seed=3), atol=1e-9)


def test_candidates_come_best_first_and_no_map_gains_nothing():
    tuning = tune(MOMENTS, X, Y, GOLD)
    scores = [candidate.score for candidate in tuning.candidates]
    assert scores == sorted(scores, reverse=True)
    (none,) = (candidate for candidate in tuning.candidates if candidate.settings is None)
    assert not none.gains.any()
    for candidate in tuning.candidates:
        np.testing.assert_array_equal(candidate.gains, candidate.scores - none.scores)


def test_what_whitening_undoes_is_whitened():
    tuning = tune(MOMENTS, X, Y, GOLD)
    assert tuning.chosen.settings == Whitening()
    assert tuning.chosen.gain > 0.2
    assert tuning.held_out_gains.mean() == pytest.approx(tuning.chosen.gain, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_already_fit_get_no_map(seed):
    numbers = np.random.default_rng(seed)
    P, Q = numbers.normal(size=(2, 300, 40)).astype(np.float32) * SCALES.astype(np.float32)
    tuning = tune(MOMENTS, P, Q, cosines(P, Q) + numbers.normal(size=300) * 0.1)
    assert tuning.chosen.settings is None


def test_pairs_without_any_order_hardly_ever_get_a_map():
    golds = [np.random.default_rng(seed).normal(size=300) for seed in range(20)]
    taken = [tune(MOMENTS, X, Y, gold, seed=seed).chosen.settings for seed, gold in enumerate(golds)]
    assert sum(settings is not None for settings in taken) <= 2  # of 20, which the best by luck would all get


def test_a_grid_holds_to_what_is_given():
    tuning = tune(MOMENTS, X, Y, GOLD, grid=Grid(dim=(16,), gamma=(0.5,), beta=(0.9,), shrinkage=(0.3,)))
    tried = [candidate.settings for candidate in tuning.candidates]
    assert set(tried) == {None, Whitening(16, 0.9, 0.5, 0.3)}


def test_few_pairs_and_too_many_dimensions_are_refused_with_both_numbers():
    with pytest.raises(DataError, match=r"^tuning needs at least 20 pairs, got 19$"):
        tune(MOMENTS, X[:19], Y[:19], GOLD[:19])
    with pytest.raises(MismatchError, match=r"^whitening needs 41 dimensions, but the data have rank 40 "):
        tune(MOMENTS, X, Y, GOLD, grid=Grid(dim=(41,)))


def test_equal_scores_or_equal_cosines_are_refused_where_they_counted_as_a_correlation_of_0():
    with pytest.raises(DataError, match=r"^the scores of all 300 pairs are 1, so there is no correlation$"):
        tune(MOMENTS, X, Y, np.ones(300))
    with pytest.raises(DataError, match=r"^the cosines of all 300 pairs are 1, so there is no correlation$"):
        tune(MOMENTS, X, X, GOLD)


def test_a_fold_without_a_correlation_is_refused():
    """Of ten folds nine lack the one pair that people score otherwise; they counted as 0 in every mean."""
    with pytest.raises(DataError) as error:
        tune(MOMENTS, X, Y, (np.arange(300) == 7).astype(float))
    message = "all scores are equal in one of 10 folds, so there is no correlation in it; 299 of 300 pairs "
    assert str(error.value).startswith(f"{message}have the score 0; add pairs with other scores, or try")


def test_dimensions_are_steps_of_a_half_octave_below_the_rank():
    assert dimensions(384) == [32, 48, 64, 96, 128, 192, 256]
    assert dimensions(32) == []


# The choice


def table(*rows):
    """Return scores `(candidates, 10)` around the means given, moved alike, and apart by the noise given."""
    noise = np.tile([1.0, -1.0], 5)
    return np.array([mean + 0.5 * np.sin(np.arange(10)) + apart * noise for mean, apart in rows])


FLAT = [(-1.0,), (2.0,), (1.0,), (3.0,)]  # no map, then how simple the others are


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        (table((0.0, 0), (0.1, 0), (0.3, 0), (0.2, 0)), 2),  # sure, and none is near
        (table((0.5, 0), (0.1, 0), (0.3, 0), (0.2, 0)), 0),  # all are worse
        (
            table((0.0, 0), (0.0, 0), (0.3, 0.35), (0.0, 0)),
            2,
        ),
        (table((0.0, 0), (0.0, 0), (0.3, 0.37), (0.0, 0)), 0),  # 2.43 standard errors
        (table((0.0, 0), (0.1, 0), (0.28, 0.1), (0.3, 0)), 2),  # within an error of the best, and simpler
        (table((0.0, 0), (0.28, 0.1), (0.1, 0), (0.3, 0)), 1),
        (table((0.0, 0), (0.28, 0.01), (0.1, 0), (0.3, 0)), 3),  # not within an error
        (table((0.0, 0), (0.1, 0), (0.1, 0.9), (0.3, 0)), 3),  # near for its noise alone, and not sure itself
        (table((0.0, 0), (0.0, 0), (0.0, 0), (0.0, 0)), 0),
    ],
)
def test_the_choice_is_the_simplest_near_the_best_or_none_in_doubt(scores, chosen):
    assert choose(scores, FLAT) == chosen


def test_a_candidate_that_is_best_by_luck_alone_is_not_taken():
    scores = np.random.default_rng(0).normal(size=(2000, 10))
    scores[0] = 0
    gains = scores[1:] - scores[0]
    best = gains.mean(axis=1).argmax()
    assert gains[best].mean() > 2.5 * gains[best].std(ddof=1) / math.sqrt(10)
    assert choose(scores, [(-1.0,)] + [(1.0,)] * 1999) == 0


def simplicity(settings):
    """Count what is not plain whitening, then the dimensions, then the order of the grid."""
    if settings is None:
        return (-1,)
    beta, gamma, shrinkage = settings.beta, settings.gamma, settings.shrinkage or 0
    changed = (beta != 1) + (gamma != 1) + (shrinkage != 0)
    return (changed, settings.dim or math.inf, -beta, shrinkage, -gamma)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_what_is_held_out_had_no_say(seed):
    noisy = GOLD + np.random.default_rng(seed).normal(size=300) / 2  # other folds choose otherwise
    tuning = tune(MOMENTS, X, Y, noisy)
    rows = sorted(tuning.candidates, key=lambda candidate: simplicity(candidate.settings))
    scores = np.array([candidate.scores for candidate in rows])
    order = [(place,) for place in range(len(rows))]
    chosen = [choose(np.delete(scores, fold, axis=1), order) for fold in range(10)]
    assert len(set(chosen)) > 1
    np.testing.assert_array_equal(tuning.held_out, scores[chosen, range(10)])
    np.testing.assert_array_equal(tuning.held_out_gains, tuning.held_out - scores[0])


# The map


def test_the_map_is_that_of_the_settings_with_the_choice_in_its_story():
    identity = Identity("m", "f" * 16, 40, normalized=False, maps=("a" * 16,))
    tuning = tune(MOMENTS, X, Y, GOLD)
    fitted = tuned_map(tuning, MOMENTS, identity, pairs="p.tsv")
    np.testing.assert_array_equal(fitted.A, Whitening().fit_moments(MOMENTS).A)
    story = fitted.story
    assert (story["spec"], story["rows"], story["encoder"]) == ("whitening", 2000, "f" * 16)
    assert (story["rank"], story["maps"], story["tuned"]["pairs"]) == (40, ["a" * 16], "p.tsv")
    assert story["tuned"]["held_out_spearman"] == pytest.approx(100 * tuning.held_out.mean(), abs=1e-4)


def test_no_map_is_the_identity_that_says_so():
    tuning = tune(MOMENTS, X, Y, np.random.default_rng(9).normal(size=300))
    fitted = tuned_map(tuning, MOMENTS, None, pairs="p.tsv")
    np.testing.assert_array_equal(fitted.apply(X), X)
    assert (fitted.story["spec"], fitted.story["tuned"]["held_out_gain"]) == ("identity", 0)
