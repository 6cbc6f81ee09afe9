"""Measured curves on data of known dimension, and the choice that follows from curves."""

import numpy as np
import pytest

from embedkit.data.reservoir import Sample, draw
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.loading import load
from embedkit.errors import DataError, UsageError
from embedkit.evaluation.dimensions.curves import (
    CurveProtocol,
    Point,
    choose,
    dimensions_to_try,
    label,
    measure,
    rank_correlation,
)

RNG = np.random.default_rng(2)
PLANE = RNG.normal(size=(6, 24))
ROWS = (RNG.normal(size=(600, 6)) @ PLANE + 1e-3 * RNG.normal(size=(600, 24))).astype(np.float32)
SPECS = {"svd": "whitening:dim={dim},beta=0,gamma=0", "pca": "pca:dim={dim}"}


@pytest.mark.parametrize(
    ("width", "most", "steps"),
    [
        (384, 384, [16, 32, 64, 96, 128, 192, 256, 384]),
        (384, 381, [16, 32, 64, 96, 128, 192, 256, 381]),
        (1024, 1024, [16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024]),
        (100, 100, [16, 32, 64, 96, 100]),
        (8, 8, [2, 4, 8]),
        (8, 1, [1]),
    ],
)
def test_the_ladder_is_geometric_and_ends_where_there_is_no_more(width, most, steps):
    assert dimensions_to_try(width, most) == steps


def test_six_dimensions_in_twenty_four_are_found():
    measured = measure(Sample(ROWS, 600), CurveProtocol(queries=100))
    overlaps = {(point.method, point.dim): point.overlap for point in measured.points}
    assert overlaps["svd", 8] > 0.99
    assert overlaps["svd", 4] < 0.9
    assert overlaps["truncate", 24] == overlaps["svd", 24] == 1
    assert overlaps["gaussian", 8] < overlaps["svd", 8]
    assert (measured.choice.point.method, measured.choice.point.dim) == ("svd", 8)
    assert measured.choice.spec == "whitening:dim=8,beta=0,gamma=0"
    assert (measured.fitted, measured.measured, measured.queries) == (300, 300, 100)


def test_maps_are_fitted_on_rows_that_are_not_measured():
    rows = ROWS.copy()
    rows[:300] = RNG.normal(size=(300, 24))  # what is fitted on knows no plane, what is measured is one
    measured = measure(Sample(rows, 600), CurveProtocol(queries=100))
    assert measured.choice is None
    assert next(p.overlap for p in measured.points if (p.method, p.dim) == ("svd", 8)) < 0.7


def test_the_error_is_that_of_the_mean_over_queries():
    few, many = (measure(Sample(ROWS, 600), CurveProtocol(queries=queries)) for queries in (40, 300))
    errors = [next(p.error for p in found.points if p.dim == 4) for found in (few, many)]
    assert errors[0] / errors[1] == pytest.approx((300 / 40) ** 0.5, rel=0.4)


def test_a_seed_settles_all_of_it():
    one, same, other = (
        measure(draw([ROWS], 600, seed=seed), CurveProtocol(queries=50, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.points != other.points


def point(method, dim, overlap, spearman=None):
    return Point(method, dim, 4 * dim, overlap, 0.001, spearman)


CURVES = [
    point("svd", 8, 0.7, 0.60), point("svd", 16, 0.96, 0.79), point("svd", 32, 1.0, 0.80),
    point("pca", 8, 0.75, 0.70), point("pca", 16, 0.95, 0.795), point("pca", 32, 0.9, 0.8),
    point("sign", 8, 1.0, 0.8),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "full", "expected"),
    [
        (None, None, ("svd", 16)),
        (0.97, None, None),  # all columns are no reduction
        (0.75, None, ("pca", 8)),
        (None, 0.8, ("pca", 16)),
        (0.8, 0.8, ("pca", 8)),
        (1.0, 0.8, None),
        (None, 0.0, None),
        (None, -0.2, None),
    ],
)
def test_the_choice_is_the_fewest_dimensions_that_keep_enough(keep, full, expected):
    choice = choose(CURVES, SPECS, keep, full)
    assert (choice and (choice.point.method, choice.point.dim)) == expected


def test_enough_is_enough_within_two_standard_errors():
    assert choose(CURVES, SPECS, 0.9615).point.dim == 16
    assert choose(CURVES, SPECS, 0.9625) is None


def test_a_map_that_saves_less_than_a_tenth_is_none():
    curves = [point("svd", 29, 1.0), point("truncate", 32, 1.0)]
    assert choose(curves, SPECS) is None
    assert choose([point("svd", 28, 1.0), *curves], SPECS).point.dim == 28


def test_the_reason_names_both_figures():
    assert choose(CURVES, SPECS).reason == (
        "the fewest dimensions that keep 95% or more: 96.0% of the neighbours, +-0.2%"
    )
    assert choose(CURVES, SPECS, None, 0.8).reason == (
        "the fewest dimensions that keep 99% or more: Spearman 79.50 of the full vectors' 80.00"
    )


def test_pairs_are_scored_by_cosines_of_the_changed_vectors():
    encoder = load("hash:dim=24")
    texts = ["a red cat", "the red cat", "a dog", "green trees", "cats, red", "the trees"]
    pairs = [Pair(one, other, len({*one} & {*other})) for one in texts for other in texts if one < other]
    labelled = label(encoder, pairs)
    np.testing.assert_array_equal(labelled.second, encoder.encode([pair.second for pair in pairs]))
    measured = measure(Sample(ROWS, 600), CurveProtocol(queries=20), labelled)
    scores = {(p.method, p.dim): p.spearman for p in measured.points}
    by_hand = rank_correlation(labelled, labelled.first[:, :4], labelled.second[:, :4])
    assert scores["truncate", 4] == pytest.approx(by_hand)
    assert scores["truncate", 24] == pytest.approx(measured.full_spearman)


def test_too_few_rows_have_too_few_neighbours():
    with pytest.raises(DataError, match=r"^10 neighbours need at least 22 rows, got 21$"):
        measure(Sample(ROWS[:21], 21), CurveProtocol())
    assert measure(Sample(ROWS[:22], 22), CurveProtocol()).measured == 11


@pytest.mark.parametrize("keep", [0, -1, 1.5, float("nan")])
def test_no_part_is_kept_outside_zero_to_one(keep):
    with pytest.raises(UsageError, match="`keep`: "):
        CurveProtocol(keep=keep)
