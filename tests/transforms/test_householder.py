"""The mean direction goes to the first axis by an orthogonal map, wherever it points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import DataError, MismatchError
from embedkit.transforms.householder import Householder, turn

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


def test_the_first_axis_can_be_dropped():
    whole, dropped = Householder().fit([ROWS]), Householder(drop=True).fit([ROWS])
    np.testing.assert_array_equal(dropped.apply(ROWS), whole.apply(ROWS)[:, 1:])
    np.testing.assert_allclose(dropped.apply(ROWS).mean(axis=0), 0, atol=1e-5)


def test_a_mean_of_zero_has_no_direction():
    with pytest.raises(
        DataError, match=r"^householder wants a mean with a direction, the mean of these rows is zero$"
    ):
        Householder().fit([np.concatenate([ROWS, -ROWS])])


def test_nothing_would_be_left_of_one_column():
    with pytest.raises(MismatchError, match="would leave 0 dimensions"):
        Householder(drop=True).fit([ROWS[:, 5:]])
