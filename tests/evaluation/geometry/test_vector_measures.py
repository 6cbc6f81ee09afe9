"""The geometry of vectors against loops and closed forms: a sphere, a cone, a needle, opposites, zeros."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cosine
from scipy.special import gamma, iv

from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import DataError
from embedkit.evaluation.geometry.agreement import agreement
from embedkit.evaluation.geometry.survey import survey
from embedkit.evaluation.geometry.vector_measures import (
    GeometryProtocol,
    agree,
    alignment,
    cosines_between,
    geometry,
    pair_cosines,
    uniformity,
)

RNG = np.random.default_rng(0)
PROTOCOL = GeometryProtocol(pairs=2000, neighbours=300, resamples=300)


def surveyed(rows, ids=None):
    rows = np.asarray(rows, dtype=np.float32)
    ids = [str(place) for place in range(len(rows))] if ids is None else ids
    return survey([Batch(pa.table({"id": list(ids)}), rows)], PROTOCOL.sample)


def of(rows):
    return geometry(surveyed(rows), PROTOCOL)


def sphere(rows, dimension):
    return RNG.normal(size=(rows, dimension))


def sphere_uniformity(dimension):
    """Return log E exp(-4 + 4 c) for the cosine c of random directions: the moments of von Mises-Fisher."""
    order = dimension / 2 - 1
    return -4 + np.log(gamma(dimension / 2) * (2 / 4) ** order * iv(order, 4))


def test_pairs_are_rows_side_by_side_none_in_two():
    rows = RNG.normal(size=(9, 5)).astype(np.float32)
    expected = [1 - cosine(rows[2 * pair], rows[2 * pair + 1]) for pair in range(4)]
    np.testing.assert_allclose(pair_cosines(rows), expected, atol=1e-7)


@pytest.mark.parametrize("dimension", [2, 3, 16])
def test_directions_of_a_sphere_have_nothing_in_common(dimension):
    found = of(sphere(4000, dimension))
    assert found.mean_cosine.low < 0 < found.mean_cosine.high
    assert found.mean_cosine.high - found.mean_cosine.low == pytest.approx(
        2 * 1.96 / np.sqrt(2000 * dimension), rel=0.15
    )
    assert found.uniformity.low < sphere_uniformity(dimension) < found.uniformity.high
    assert found.uniformity.high - found.uniformity.low < 0.25
    assert (found.rows, found.dimension, found.pairs) == (4000, dimension, 2000)


def test_directions_of_a_cone_have_the_squared_cosine_of_its_angle():
    angle = np.radians(35)
    around = sphere(4000, 40)
    around[:, 0] = 0
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    rows = np.sin(angle) * around + np.cos(angle) * np.eye(40)[0]
    found = of(rows * RNG.uniform(1, 5, size=(4000, 1)))
    assert found.mean_cosine.value == pytest.approx(np.cos(angle) ** 2, abs=0.01)
    assert found.mean_cosine.low < np.cos(angle) ** 2 < found.mean_cosine.high


def test_equal_vectors_are_a_needle():
    found = of(np.tile([3.0, 4.0], (60, 1)))
    assert found.mean_cosine == (1, 1, 1)
    np.testing.assert_allclose(found.uniformity, 0, atol=1e-12)
    assert found.spectrum.rank == 0
    assert (found.hubness.skewness, found.hubness.antihubs) == (0, 0)
    np.testing.assert_allclose(found.norms, [5, 0, 5, 5, 0])


def test_uniformity_is_the_log_of_a_mean_over_pairs():
    similarity = np.array([1.0, -1.0, 0.0, 0.5])
    squares = [0.0, 4.0, 2.0, 1.0]
    expected = np.log(np.mean([np.exp(-2 * square) for square in squares]))
    found = uniformity(similarity, resamples=2000, seed=0)
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high <= 0
    assert uniformity(np.full(5, -1.0), resamples=100, seed=0).value == pytest.approx(-8)


def test_alignment_is_the_mean_squared_distance_of_unit_vectors():
    x, y = RNG.normal(size=(2, 50, 7)).astype(np.float32)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y)]
    found = alignment(cosines_between(x, y), resamples=200, seed=0)
    assert found.value == pytest.approx(np.mean(np.sum((unit[0] - unit[1]) ** 2, axis=1)), rel=1e-6)
    assert found.low < found.value < found.high
    assert alignment(np.ones(3), resamples=100, seed=0) == (0, 0, 0)
    turned = np.cos(np.radians([60.0, 90.0, 180.0]))  # chords of 1, the root of 2, and 2
    assert alignment(turned, resamples=100, seed=0).value == pytest.approx((1 + 2 + 4) / 3)


def test_zero_vectors_have_no_direction():
    rows = np.vstack([sphere(200, 8), np.zeros((50, 8))])
    found = of(rows)
    assert found.norms.zeros == 50
    assert found.hubness.rows == 200
    assert found.hubness == of(rows[:200]).hubness
    nothing = of(np.zeros((30, 4)))
    assert (nothing.mean_cosine.value, nothing.hubness) == (0, None)
    assert nothing.uniformity.value == pytest.approx(-4)


def test_two_rows_are_one_pair():
    found = of([[1.0, 0.0], [1.0, 1.0]])
    assert (found.pairs, found.hubness, found.spectrum.rank) == (1, None, 1)
    assert found.mean_cosine.value == pytest.approx(np.sqrt(0.5))
    with pytest.raises(DataError, match="needs at least 2 rows, got 1"):
        of([[1.0, 0.0]])


def test_the_protocol_bounds_the_work():
    protocol = GeometryProtocol(pairs=20, neighbours=30, resamples=100)
    found = geometry(surveyed(sphere(500, 4)), protocol)
    assert (found.pairs, found.hubness.rows, protocol.sample) == (20, 30, 40)


def test_sets_are_joined_by_id_in_any_order():
    rows = sphere(250, 6)
    other = rows + 0.3 * sphere(250, 6)
    ids = np.array([f"n{place}" for place in range(250)])
    mixed = RNG.permutation(250)[:200]
    found = agree(surveyed(rows, ids), surveyed(other[mixed], ids[mixed]), PROTOCOL)
    expected = agreement(
        rows[mixed].astype(np.float32), other[mixed].astype(np.float32), 10, resamples=300, seed=0
    )
    assert found.rows == 200
    assert found.overlap.value == pytest.approx(expected.overlap.value)
    assert 0.3 < found.overlap.value < 0.9


def test_rows_that_are_zero_in_one_set_are_left_out():
    rows = sphere(100, 6)
    holes = rows.copy()
    holes[:10] = 0
    assert agree(surveyed(rows), surveyed(holes), PROTOCOL).rows == 90


def test_the_neighbours_of_a_bounded_number_of_rows_are_compared():
    rows = surveyed(sphere(400, 6))
    assert agree(rows, rows, PROTOCOL).rows == 300


def test_what_cannot_be_joined_is_refused():
    rows = sphere(40, 3)
    twice = surveyed(rows, ["a", "a", *map(str, range(38))])
    with pytest.raises(DataError, match="the id 'a' names 2 rows; sets join by id"):
        agree(surveyed(rows), twice, PROTOCOL)
    strangers = surveyed(rows, [f"x{place}" for place in range(40)])
    with pytest.raises(DataError, match="10 neighbours need at least 11 rows in both sets, got 0"):
        agree(surveyed(rows), strangers, PROTOCOL)
