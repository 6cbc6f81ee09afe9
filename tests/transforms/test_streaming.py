"""Streaming moments are those of numpy in two passes, in any chunks and any order."""

from contextlib import contextmanager
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError, MismatchError
from embedkit.transforms import streaming
from embedkit.transforms.streaming import (
    blocks_of,
    centroid_of,
    cross_moments_of,
    fourth_moments_of,
    moments_of,
    width_of,
)

ROWS = (np.random.default_rng(3).normal(size=(300, 6)) * [1, 2, 3, 0.1, 0.01, 5] + 4).astype(np.float32)


TARGETS = (ROWS @ np.random.default_rng(4).normal(size=(6, 4)) + 7).astype(np.float32)


def two_passes(rows, others=None):
    """The mean, and the sum of all products with the centred others, by a slow loop."""
    centred, others = (x.astype(np.float64) for x in (rows, rows if others is None else others))
    centred, others = centred - centred.mean(axis=0), others - others.mean(axis=0)
    return rows.mean(axis=0, dtype=np.float64), sum(
        np.outer(y, x) for x, y in zip(centred, others, strict=True)
    )


def assert_same(found, rows, tolerance=1e-10):
    mean, co_moment = two_passes(rows)
    assert found.rows == len(rows)
    np.testing.assert_allclose(found.mean, mean, rtol=tolerance)
    np.testing.assert_allclose(found.co_moment, co_moment, atol=tolerance * np.abs(co_moment).max())


def bits(found):
    names = found._fields if isinstance(found, tuple) else found.__dataclass_fields__
    return [np.asarray(getattr(found, name)).tobytes() for name in names]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 rows, so that a few hundred make many."""
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 32)


@pytest.mark.parametrize("fit", [moments_of, fourth_moments_of])
@pytest.mark.parametrize("count", [1, 31, 32, 33, 300])
def test_they_are_those_of_two_passes(fit, count):
    assert_same(fit([ROWS[:count]]), ROWS[:count])


@pytest.mark.parametrize("fit", [moments_of, fourth_moments_of])
@given(st.lists(st.integers(0, len(ROWS)), max_size=12))
def test_other_chunks_give_the_same_bits(fit, cuts):
    assert bits(fit(np.split(ROWS, sorted(cuts)))) == bits(fit([ROWS]))


@given(st.permutations(range(0, 300, 10)))
def test_another_order_gives_the_same_to_ten_digits(starts):
    assert_same(moments_of(ROWS[start : start + 10] for start in starts), ROWS)


def test_nothing_cancels_when_the_rows_that_come_first_are_far_from_all_others():
    rows = (np.random.default_rng(0).normal(size=(40_000, 3)) * [1, 1e-2, 1e-3]).astype(np.float32)
    rows[:32] += 1000
    wide = rows.astype(np.longdouble)
    centred = wide - wide.mean(axis=0)
    exact = np.linalg.eigvalsh((centred.T @ centred).astype(np.float64))
    np.testing.assert_allclose(np.linalg.eigvalsh(moments_of([rows]).co_moment)[1:], exact[1:], rtol=2e-11)
    shifted = rows.astype(np.float64) - rows[:32].mean(axis=0, dtype=np.float64)  # one shift for all rows
    e = shifted.mean(axis=0)
    fixed = np.linalg.eigvalsh(shifted.T @ shifted - len(rows) * np.outer(e, e))
    assert abs(fixed[1] / exact[1] - 1) > 1e-10


def test_small_variances_far_from_zero_survive():
    rows = (np.random.default_rng(0).normal(size=(4000, 3)) * [1, 1e-2, 1e-3] + 1000).astype(np.float32)
    exact = np.linalg.eigvalsh(two_passes(rows)[1])
    np.testing.assert_allclose(np.linalg.eigvalsh(moments_of([rows]).co_moment), exact, rtol=1e-8)
    one_pass = rows.T @ rows - len(rows) * np.outer(rows.mean(axis=0), rows.mean(axis=0))  # in float32
    assert np.abs(np.linalg.eigvalsh(one_pass)[0] / exact[0] - 1) > 1


@given(st.lists(st.integers(0, len(ROWS)), max_size=8), st.lists(st.integers(0, len(ROWS)), max_size=8))
def test_cross_moments_are_those_of_two_passes_in_any_chunks(cuts, others):
    cuts = sorted({*cuts, *others})
    pairs = zip(np.split(ROWS, cuts), np.split(TARGETS, cuts), strict=True)
    found = cross_moments_of(pairs)
    (mean, cross), x, y = two_passes(ROWS, TARGETS), ROWS.astype(np.float64), TARGETS.astype(np.float64)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.target_mean, y.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.about_means[0], cross, atol=1e-10 * np.abs(cross).max())
    assert found.about_means[1] == pytest.approx(((x - mean) ** 2).sum(), rel=1e-10)
    np.testing.assert_allclose(found.about_zero[0], y.T @ x, rtol=1e-10)
    assert found.about_zero[1] == pytest.approx((x**2).sum(), rel=1e-10)


@pytest.mark.parametrize(("side", "what"), [(0, "row"), (1, "target row")])
def test_a_pair_that_is_not_finite_is_named(side, what):
    pair = [ROWS.copy(), TARGETS.copy()]
    pair[side][40, 1] = np.inf
    with pytest.raises(DataError, match=rf"^{what} 41: the vector is not finite$"):
        cross_moments_of([tuple(pair)])


@pytest.fixture
def four_threads(monkeypatch):
    """A BLAS that would take four threads, and the limits it is given."""
    import threadpoolctl

    class Blas:
        limits = ()

        def select(self, user_api):
            assert user_api == "blas"
            return self

        def info(self):
            return [{"num_threads": 4}, {"num_threads": 2}]

        @contextmanager
        def limit(self, limits):
            Blas.limits += (limits,)
            yield
            Blas.limits += ("back",)

    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Blas)
    return Blas


@pytest.mark.parametrize("fit", [moments_of, fourth_moments_of, centroid_of])
@pytest.mark.parametrize(("memory", "threads_each"), [(1 << 20, 1), (2 * 8 * 6 * (32 + 12), 2), (0, 4)])
def test_lanes_share_threads_and_memory_and_any_number_gives_the_same_bits(
    four_threads, monkeypatch, fit, memory, threads_each
):
    monkeypatch.setattr(streaming, "_LANES", memory)
    found = fit([ROWS])
    assert four_threads.limits == (threads_each, "back")
    monkeypatch.setattr(streaming, "_LANES", 0)
    assert bits(found) == bits(fit([ROWS]))


def test_what_fits_one_block_needs_no_lanes(four_threads):
    moments_of([ROWS[:32]])
    assert four_threads.limits == ()


def test_rows_are_read_only_as_far_ahead_as_there_are_lanes(four_threads, monkeypatch):
    ahead, done, centroid = [], [], streaming._centroid
    together = Barrier(4, timeout=30)  # an error unless four run at once

    def slowly(before, rows):
        if before < 4 * 32:
            together.wait()
        done.append(before)
        return centroid(before, rows)

    def watched():
        for start in range(0, 288, 32):
            ahead.append(start // 32 - len(done))
            yield ROWS[start : start + 32]

    monkeypatch.setattr(streaming, "_centroid", slowly)
    assert centroid_of(watched()).rows == 288
    assert max(ahead) <= 4 + 2


def test_after_a_bad_row_blas_has_its_threads_back():
    from threadpoolctl import threadpool_info

    before = [library["num_threads"] for library in threadpool_info()]
    with pytest.raises(DataError):
        moments_of([np.full((100, 2), np.nan, np.float32)])
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_blocks_are_views_of_what_comes_in_and_copies_across_its_borders():
    blocks = [(len(block), np.shares_memory(block, ROWS)) for block in blocks_of([ROWS[:100], ROWS[100:]])]
    assert blocks == [(32, True)] * 3 + [(32, False)] + [(32, True)] * 5 + [(12, False)]


def test_the_centroid_is_the_mean():
    count, mean, mean_square = centroid_of(np.split(ROWS, 7 * np.arange(9)))
    np.testing.assert_allclose(mean, ROWS.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert (count, mean_square) == (300, pytest.approx((ROWS.astype(np.float64) ** 2).sum() / 300))


@pytest.mark.parametrize("fit", [moments_of, fourth_moments_of, centroid_of])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 31, 32, 150, 299])
def test_a_row_that_is_not_finite_is_named(fit, bad, row):
    rows = ROWS.copy()
    rows[row, 2] = bad
    with pytest.raises(DataError, match=rf"^row {row + 1}: the vector is not finite$"):
        fit(np.split(rows, 5))


def test_large_numbers_are_finite():
    rows = np.full((3, 2), np.finfo(np.float32).max, dtype=np.float32)
    np.testing.assert_array_equal(moments_of([rows]).mean, rows[0].astype(np.float64))


@pytest.mark.parametrize("fit", [moments_of, fourth_moments_of, centroid_of])
@pytest.mark.parametrize("rows", [[], [ROWS[:0]]])
def test_no_rows_are_refused(fit, rows):
    with pytest.raises(DataError, match=r"^the input contains no vectors to fit a map on$"):
        fit(rows)


def test_no_blocks_have_no_width():
    assert width_of([ROWS[:0]]) == 6
    with pytest.raises(DataError, match=r"^the input contains no vectors to fit a map on$"):
        width_of([])


def test_two_widths_are_refused():
    with pytest.raises(MismatchError, match=r"^vectors have 5 dimensions, earlier ones have 6$"):
        moments_of([ROWS, ROWS[:, :5]])
