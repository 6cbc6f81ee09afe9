"""The mean direction goes to the first axis or that of a target by an orthogonal map, wherever it points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError, MismatchError, UsageError
from embedkit.transforms.kinds.householder import Householder, turn

E1 = np.eye(6)[0]
ROWS = np.random.default_rng(2).normal([1, -2, 0, 0.5, 0, 3], size=(80, 6)).astype(np.float32)


def assert_turns(T, a, b):
    np.testing.assert_allclose(T @ a, b, atol=1e-12)
    np.testing.assert_allclose(T @ T.T, np.eye(len(a)), atol=1e-12)


def unit(x):
    return x / np.linalg.norm(x)


@given(st.integers(0, 10_000))
def test_it_takes_any_unit_vector_to_any_other(seed):
    a, b = (unit(x) for x in np.random.default_rng(seed).normal(size=(2, 6)))
    assert_turns(turn(a, b), a, b)


@pytest.mark.parametrize("defect", [0, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_exact_where_one_of_the_two_formulas_fails(sign, defect):
    a = unit(sign * E1 + defect * np.eye(6)[1])
    assert_turns(turn(a, E1), a, E1)


def test_vectors_at_right_angles_turn_too():
    assert_turns(turn(np.eye(6)[1], E1), np.eye(6)[1], E1)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_lies_on_the_first_axis(sign):
    rows = sign * ROWS
    fitted = Householder().fit(np.split(rows, [11, 50]))
    length = np.linalg.norm(rows.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose((rows @ fitted.A.T + fitted.b).mean(axis=0), length * E1, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(fitted.apply(rows), axis=1), np.linalg.norm(rows, axis=1), rtol=1e-5
    )


TARGET = np.random.default_rng(3).normal([0.3, 1, 0, 0, -2, 0], size=(30, 6)).astype(np.float32)


@pytest.mark.parametrize("target", [TARGET, -TARGET, ROWS, -ROWS, 5 * ROWS[::-1]])
def test_the_mean_direction_goes_to_that_of_the_target(target):
    fitted = Householder().fit(np.split(ROWS, [11, 50]), np.split(target, [4]))
    a, b = (unit(rows.mean(axis=0, dtype=np.float64)) for rows in (ROWS, target))
    assert_turns(fitted.A, a, b)
    np.testing.assert_array_equal(fitted.b, 0)


@pytest.mark.parametrize("target", [TARGET, -TARGET])  # the rotation, and the reflection
def test_what_is_at_right_angles_to_both_means_is_left_alone(target):
    A = Householder().fit([ROWS], [target]).A
    both = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in (ROWS, TARGET)])
    others = np.linalg.svd(both)[2][2:]
    np.testing.assert_allclose(A @ others.T, others.T, atol=1e-12)


def test_a_mean_that_is_there_already_stays():
    np.testing.assert_allclose(Householder().fit([ROWS], [ROWS]).A, np.eye(6), atol=1e-12)


def test_a_target_that_cannot_be_reached_is_refused():
    with pytest.raises(DataError, match=r"the mean of the target is zero$"):
        Householder().fit([ROWS], [np.concatenate([ROWS, -ROWS])])
    with pytest.raises(MismatchError, match=r"^vectors have 6 dimensions, the target has 5$"):
        Householder().fit([ROWS], [TARGET[:, :5]])
    with pytest.raises(UsageError, match=r"^householder: drop=true drops the first axis"):
        Householder(drop=True).fit([ROWS], [TARGET])


def test_the_first_axis_can_be_dropped():
    whole, dropped = Householder().fit([ROWS]), Householder(drop=True).fit([ROWS])
    np.testing.assert_array_equal(dropped.apply(ROWS), whole.apply(ROWS)[:, 1:])
    np.testing.assert_allclose(dropped.apply(ROWS).mean(axis=0), 0, atol=1e-5)


def test_a_mean_of_zero_has_no_direction():
    with pytest.raises(
        DataError, match=r"^householder needs a mean with a direction, but the mean of these rows is zero$"
    ):
        Householder().fit([np.concatenate([ROWS, -ROWS])])


def test_nothing_would_be_left_of_one_column():
    with pytest.raises(MismatchError, match="drop=true needs at least 2 dimensions"):
        Householder(drop=True).fit([ROWS[:, 5:]])
