"""The nearest rotation between two spaces: that of scipy, and the one the targets were made with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError
from embedkit.transforms import streaming
from embedkit.transforms.kinds.procrustes import Procrustes

NUMBERS = np.random.default_rng(9)
ROWS = NUMBERS.normal([2, 0, 1, 0, 0, -1], size=(200, 6)).astype(np.float32)
TARGETS = (ROWS @ NUMBERS.normal(size=(6, 6)) + 3).astype(np.float32)  # no rotation leads there


def rotation(rows, columns):
    return np.linalg.qr(np.random.default_rng(3).normal(size=(max(rows, columns),) * 2))[0][:rows, :columns]


def centred(x):
    return x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)


def loss(fitted, rows, targets):
    return np.sum((rows @ fitted.A.T + fitted.b - targets) ** 2)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 rows, so that a few hundred make many."""
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 32)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_it_is_that_of_scipy(centre, scale):
    from scipy.linalg import orthogonal_procrustes

    X, Y = (centred(x) if centre else x.astype(np.float64) for x in (ROWS, TARGETS))
    R, singular = orthogonal_procrustes(X, Y)
    expected = X @ R * (singular / np.sum(X**2) if scale else 1)
    expected += TARGETS.mean(axis=0, dtype=np.float64) if centre else 0
    fitted = Procrustes(centre, scale).fit([(ROWS, TARGETS)])
    np.testing.assert_allclose(ROWS @ fitted.A.T + fitted.b, expected, atol=1e-10)


@pytest.mark.parametrize(("columns", "target_columns"), [(6, 6), (4, 6), (6, 4)])
def test_it_finds_the_map_the_targets_were_made_with(columns, target_columns):
    Q, X = rotation(target_columns, columns), ROWS[:, :columns].astype(np.float64)
    if columns > target_columns:
        X = X @ Q.T @ Q  # what lies in the plane that the narrower space keeps
    fitted = Procrustes().fit([(X, 2 * X @ Q.T + 5)])
    np.testing.assert_allclose(X @ fitted.A.T + fitted.b, 2 * X @ Q.T + 5, atol=1e-10)
    assert fitted.story == {"rank": min(columns, target_columns)}


@pytest.mark.parametrize(("columns", "target_columns"), [(6, 6), (4, 6), (6, 4)])
def test_its_rows_or_columns_are_orthonormal(columns, target_columns):
    A = Procrustes(scale=False).fit([(ROWS[:, :columns], TARGETS[:, :target_columns])]).A
    small = A @ A.T if columns > target_columns else A.T @ A
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


@pytest.mark.parametrize("settings", [Procrustes(False, False), Procrustes(scale=False), Procrustes()])
@given(seed=st.integers(0, 1000))
def test_no_other_rotation_is_nearer(settings, seed):
    numbers = np.random.default_rng(seed)
    fitted = settings.fit([(ROWS, TARGETS)])
    small = numbers.normal(size=(6, 6)) * 10.0 ** numbers.uniform(-3, 1)
    turned = np.linalg.qr(np.eye(6) + small - small.T)[0]  # near the identity, or far from it
    centre = ROWS.mean(axis=0, dtype=np.float64) if settings.centre else np.zeros(6)
    A = fitted.A @ turned
    other = type(fitted)(A, fitted.b + (fitted.A - A) @ centre, {})
    assert loss(other, ROWS, TARGETS) >= loss(fitted, ROWS, TARGETS) * (1 - 1e-12)


@given(cuts=st.lists(st.integers(0, 200), max_size=9))
def test_other_chunks_give_the_same_bits(cuts):
    cuts = sorted(cuts)
    streamed = Procrustes().fit(zip(np.split(ROWS, cuts), np.split(TARGETS, cuts), strict=True))
    assert streamed.fingerprint == Procrustes().fit([(ROWS, TARGETS)]).fingerprint


@given(order=st.permutations(range(0, 200, 20)))
def test_another_order_gives_the_same_to_ten_digits(order):
    pairs = [(ROWS[start : start + 20], TARGETS[start : start + 20]) for start in order]
    one, other = Procrustes().fit(pairs), Procrustes().fit([(ROWS, TARGETS)])
    np.testing.assert_allclose(one.A, other.A, atol=1e-10)
    np.testing.assert_allclose(one.b, other.b, atol=1e-10)


def test_what_does_not_correlate_has_no_nearest_rotation():
    X = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    with pytest.raises(DataError, match=r"^procrustes needs vectors that correlate with their targets"):
        Procrustes().fit([(X, np.ones((2, 2), dtype=np.float32))])
    with pytest.raises(DataError, match=r"^the input contains no vectors to fit a map on$"):
        Procrustes().fit([])


def test_few_pairs_name_their_rank():
    assert Procrustes().fit([(ROWS[:3], TARGETS[:3])]).story == {"rank": 2}
    assert Procrustes(centre=False).fit([(ROWS[:3], TARGETS[:3])]).story == {"rank": 3}
