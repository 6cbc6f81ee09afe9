"""Every way to shrink against the map that the command line makes, and codes against their definition."""

import numpy as np
import pytest

from embedkit import spec
from embedkit.embedding.encoder import unit_length
from embedkit.evaluation.dimensions.reductions import reductions, rounded, signs

RNG = np.random.default_rng(1)
ROWS = (RNG.normal(size=(400, 12)) @ RNG.normal(size=(12, 12)) + 2).astype(np.float32)
OTHERS = (RNG.normal(size=(30, 12)) @ RNG.normal(size=(12, 12)) + 2).astype(np.float32)
WAYS = {way.name: way for way in reductions(ROWS, seed=0)}


@pytest.mark.parametrize("name", ["svd", "pca", "whitening", "truncate"])
@pytest.mark.parametrize("dim", [1, 5, 12])
def test_the_first_columns_are_the_map_of_its_spec(name, dim):
    kind = spec.parse("transform", WAYS[name].spec.format(dim=dim))
    expected = kind.fit([ROWS]).apply(OTHERS)
    np.testing.assert_allclose(WAYS[name].columns(OTHERS)[:, :dim], expected, atol=1e-4)


def test_the_random_projection_points_where_that_of_full_width_does():
    kind = spec.parse("transform", WAYS["gaussian"].spec.format(dim=12))
    np.testing.assert_allclose(WAYS["gaussian"].columns(OTHERS), kind.fit([ROWS]).apply(OTHERS), atol=1e-5)


def test_svd_is_the_best_approximation_of_the_rows():
    U, S, Vt = np.linalg.svd(ROWS.astype(np.float64), full_matrices=False)
    best = (U[:, :4] * S[:4]) @ (U[:, :4] * S[:4]).T
    found = WAYS["svd"].columns(ROWS)[:, :4].astype(np.float64)
    np.testing.assert_allclose(found @ found.T, best, atol=1e-2)
    assert Vt.shape == (12, 12)


def test_int8_is_svd_to_half_a_step_of_each_column():
    plain, coded = (WAYS[name].columns(ROWS) for name in ("svd", "int8"))
    steps = np.abs(plain).max(axis=0) / 127
    assert (np.abs(plain - coded) <= steps / 2 * 1.001).all()
    assert (np.abs(plain - coded).max(axis=0) > steps / 4).all()  # it does round
    levels = np.rint(coded / steps)
    np.testing.assert_allclose(coded, levels * steps, rtol=1e-5, atol=1e-6)
    assert np.abs(levels).max() == 127


def test_int8_clips_what_the_fit_has_not_seen():
    coded = rounded(np.array([[9.0, -9.0, 0.26]], dtype=np.float32), np.float32([0.01, 0.01, 0.1]))
    np.testing.assert_allclose(coded, [[1.27, -1.27, 0.3]], rtol=1e-6)


def test_cosines_of_signs_are_hamming_distances():
    codes = signs(RNG.normal(size=(20, 64)).astype(np.float32))
    differing = (codes[0] != codes[1:]).sum(axis=1)
    cosines = unit_length(codes)[1:] @ unit_length(codes)[0]
    np.testing.assert_allclose(cosines, 1 - 2 * differing / 64, atol=1e-6)
    assert set(np.unique(signs(np.zeros((1, 3), dtype=np.float32)))) == {1.0}


def test_signs_differ_as_often_as_the_angle_says():
    wide = (RNG.normal(size=(4000, 256)) + 3).astype(np.float32)
    way = {way.name: way for way in reductions(wide, seed=0)}["sign"]
    rows = np.vstack([wide[0] + noise * wide[1] for noise in (0, 0.3, 1, 3)]).astype(np.float32)
    centred = rows - wide.mean(axis=0)
    cosines = unit_length(centred)[1:] @ unit_length(centred)[0]
    codes = way.columns(rows)
    found = codes[1:] @ codes[0] / 256
    np.testing.assert_allclose(found, 1 - 2 * np.arccos(cosines) / np.pi, atol=0.15)


def test_bytes_are_those_of_whole_bytes():
    sizes = {name: way.size(20) for name, way in WAYS.items()}
    assert (sizes["pca"], sizes["int8"], sizes["sign"]) == (80, 20, 3)


def test_a_constant_column_lowers_the_rank_and_divides_by_nothing():
    rows = ROWS.copy()
    rows[:, 3] = rows[:, 4]
    ways = {way.name: way for way in reductions(rows, seed=0)}
    assert (ways["svd"].most, ways["pca"].most, ways["whitening"].most, ways["truncate"].most) == (
        11,
        11,
        11,
        12,
    )
    for way in ways.values():
        assert np.isfinite(way.columns(OTHERS)).all()
