"""An encoder followed by a map is an encoder."""

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import EncoderSettings, Mapped, unit_length, with_maps
from embedkit.embedding.loading import load
from embedkit.errors import MismatchError, UnknownNameError, UsageError

TEXTS = ["one", "two words", ""]
HASH = load("hash:dim=8")


def random_map(rows, columns, **story):
    numbers = np.random.default_rng(rows)
    return AffineMap(numbers.normal(size=(rows, columns)), numbers.normal(size=rows), story)


def test_a_mapped_encoder_gives_mapped_unit_vectors():
    transform = random_map(4, 8)
    expected = HASH.encode(TEXTS) @ transform.A.T + transform.b
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(Mapped(HASH, transform).encode(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize("length", [1e-45, 1e-38, 1e-25, 1e-16, 1e-14, 1, 1e14, 1e16, 1e20, 1e37])
def test_rows_of_any_length_have_the_cosines_of_float64(length):
    rows = (np.random.default_rng(0).normal(size=(6, 8)) * length).astype(np.float32)
    rows = np.concatenate([rows, np.ones((1, 8), np.float32)])
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    cosines = exact @ exact.T / np.outer(lengths, lengths) if lengths.all() else None
    unit = unit_length(rows)
    if cosines is not None:
        np.testing.assert_allclose(unit @ unit.T, cosines, atol=8 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(np.linalg.norm(unit[lengths > 0], axis=1), 1, atol=1e-6)


def test_the_largest_and_smallest_numbers_have_unit_length_and_zero_stays_zero():
    most, least = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    rows = np.array([[most, -most], [least, least], [0, 0], [most, least]], np.float32)
    half = 0.5**0.5
    np.testing.assert_allclose(unit_length(rows), [[half, -half], [half, half], [0, 0], [1, 0]], rtol=1e-6)


def test_rows_of_ordinary_length_keep_their_bytes():
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    alone = unit_length(rows)
    np.testing.assert_array_equal(alone, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.testing.assert_array_equal(unit_length(np.concatenate([rows, rows * 1e-30]))[:50], alone)


def test_a_mapped_encoder_says_who_it_is():
    transform = random_map(4, 8)
    identity = Mapped(HASH, transform).identity
    assert (identity.dimension, identity.maps) == (4, (transform.fingerprint,))
    assert identity.fingerprint == HASH.identity.fingerprint


def test_the_map_is_kept():
    transform = random_map(4, 8)
    assert Mapped(HASH, transform).map == transform


def test_several_maps_are_one():
    first, second = random_map(6, 8), random_map(4, 6)
    both = with_maps(HASH, [first, second])
    stepwise = unit_length(second.apply(first.apply(HASH.encode(TEXTS))))
    np.testing.assert_allclose(both.encode(TEXTS), stepwise, atol=1e-5)
    assert both.identity.maps == (first.fingerprint, second.fingerprint)


def test_no_maps_leave_the_encoder():
    assert with_maps(HASH, []) is HASH


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (random_map(4, 6), "the map expects 6 dimensions, hash:dim=8 gives 8"),
        (
            random_map(4, 8, encoder="ff"),
            f"the map was fitted on vectors of encoder ff, these come from {HASH.identity}",
        ),
    ],
)
def test_a_map_of_another_space_is_refused(transform, message):
    with pytest.raises(MismatchError) as caught:
        Mapped(HASH, transform)
    assert str(caught.value) == message


def test_settings_are_checked_before_anything_is_loaded():
    with pytest.raises(UnknownNameError, match=r"unknown pooling 'men'; did you mean mean\?$"):
        EncoderSettings(pooling="men")
    with pytest.raises(UsageError, match=r"^`max_length`: must be at least 1, got 0$"):
        EncoderSettings(max_length=0)


def test_a_zero_row_stays_zero():
    np.testing.assert_allclose(unit_length(np.array([[0, 0], [3, 4]], np.float32)), [[0, 0], [0.6, 0.8]])
