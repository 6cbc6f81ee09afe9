"""Hubness against slow loops, scipy and faiss; hubs that are known, ties, duplicates."""

import faiss
import numpy as np
import pytest
from scipy.stats import skew

from embedkit.evaluation.geometry.hubness import hubness, occurrences, skewness

RNG = np.random.default_rng(0)


def slow_occurrences(rows, k):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    counts = np.zeros(len(rows))
    for row in range(len(rows)):
        others = [(float(unit[row] @ unit[other]), other) for other in range(len(rows)) if other != row]
        for _, other in sorted(others, reverse=True)[:k]:
            counts[other] += 1
    return counts


def test_occurrences_are_those_of_a_loop_by_cosine():
    rows = (RNG.normal(size=(120, 6)) * RNG.uniform(0.1, 9, size=(120, 1))).astype(np.float32)
    np.testing.assert_allclose(occurrences(rows, 5), slow_occurrences(rows.astype(np.float64), 5))


def test_occurrences_of_more_rows_than_a_block_are_those_of_faiss():
    rows = RNG.normal(size=(1300, 24)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    _, found = faiss.knn(rows, rows, 11, metric=faiss.METRIC_INNER_PRODUCT)
    expected = np.bincount(found[:, 1:].ravel(), minlength=1300)  # the first is the row itself
    counts = occurrences(rows, 10)
    assert counts.sum() == pytest.approx(13_000)
    assert np.mean(counts != expected) < 0.01  # ties within rounding are shared
    assert hubness(rows, 10).skewness == pytest.approx(skew(expected), abs=1e-3)


def test_a_hub_is_found():
    """Rows that lean towards one row, each in a direction of its own: it is everyone's nearest."""
    rows = np.eye(21, dtype=np.float32)
    rows[1:, 0] = 1  # cosine to row 0: .71, to each other: .5
    np.testing.assert_allclose(occurrences(rows, 1), [20, *[1 / 20] * 20])  # it is as near to all of them
    found = hubness(rows, 1)
    assert found.skewness == pytest.approx(skew([20, *[1 / 20] * 20]))
    assert (found.largest, found.antihubs, found.rows, found.k) == (20, 0, 21, 1)


def test_rows_that_are_nobodys_neighbours_are_antihubs():
    angles = np.radians([0, 1, 2, 90, 91, 92, 45])  # the last one is near to none
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert occurrences(rows, 2)[-1] == 0
    assert hubness(rows, 2).antihubs == pytest.approx(1 / 7)


@pytest.mark.parametrize("count", [30, 600])
def test_equal_rows_share_their_places(count):
    rows = np.ones((count, 3), dtype=np.float32)
    np.testing.assert_allclose(occurrences(rows, 4), 4)
    found = hubness(rows, 4)
    assert (found.skewness, found.antihubs) == (0, 0)


def test_rows_that_are_equal_but_for_rounding_share_their_places():
    rows = np.repeat(RNG.normal(size=(20, 12)), 10, axis=0) * RNG.uniform(0.1, 9, size=(200, 1))
    np.testing.assert_allclose(occurrences(rows.astype(np.float32), 5), 5)


def test_a_duplicate_is_its_twins_neighbour():
    rows = np.repeat(RNG.normal(size=(20, 8)).astype(np.float32), 2, axis=0)
    np.testing.assert_allclose(occurrences(rows, 1), 1)


def test_places_that_several_rows_tie_for_are_shared():
    rows = np.array([[1, 0], [0, 1], [0, 1], [0, 1], [0, -1]], dtype=np.float32)
    counts = occurrences(
        rows, 2
    )  # each of the three has the two others; row 0 ties with all; row 4 has row 0
    np.testing.assert_allclose(counts, [1, 2 + 0.5 + 1 / 3, 2 + 0.5 + 1 / 3, 2 + 0.5 + 1 / 3, 0.5])


def test_skewness_is_that_of_scipy_and_nothing_for_constants():
    values = RNG.gamma(2.0, size=400)
    assert skewness(values) == pytest.approx(skew(values))
    assert skewness(np.full(9, 0.1)) == 0


@pytest.mark.parametrize(("rows", "there"), [(0, False), (10, False), (11, True)])
def test_as_many_rows_as_neighbours_are_too_few(rows, there):
    found = hubness(RNG.normal(size=(rows, 4)).astype(np.float32), 10)
    assert (found is not None) is there
