"""What rows bring to a mean, against pseudo-values and a variance that is known."""

import numpy as np
import pytest

from embedkit.evaluation.jackknife import with_effects

RNG = np.random.default_rng(0)
OWN = RNG.normal(size=(2, 50))


def variance(values):
    return np.sum((values - values.mean(axis=-1, keepdims=True)) ** 2, axis=-1)


def test_without_effects_there_are_own_values():
    np.testing.assert_array_equal(with_effects(OWN, np.zeros((2, 50)), np.zeros(2)), OWN)
    np.testing.assert_allclose(with_effects(OWN, np.full((2, 50), 0.3), np.zeros(2)), OWN)  # on all alike


@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_stays_and_the_variance_is_that_of_pseudo_values_less_the_squares(sign):
    effects = sign * 0.6 * OWN + RNG.normal(size=(2, 50))
    squares = np.array([3.0, 11.0])
    found = with_effects(OWN, effects, squares)
    np.testing.assert_allclose(found.mean(axis=1), OWN.mean(axis=1))
    np.testing.assert_allclose(variance(found), variance(OWN + effects) - squares)


def test_effects_that_are_no_more_than_noise_are_shrunk_to_nothing():
    noise = RNG.normal(size=(2, 50))
    noise -= noise.mean(axis=1, keepdims=True)
    apart = OWN - OWN.mean(axis=1, keepdims=True)
    noise -= apart * np.sum(noise * apart, axis=1, keepdims=True) / variance(OWN)[:, None]
    np.testing.assert_allclose(with_effects(OWN, noise, variance(noise)), OWN, atol=1e-6)
    np.testing.assert_allclose(with_effects(OWN, noise, 9 * variance(noise)), OWN, atol=1e-6)


def test_the_variance_of_the_mean_difference_of_pairs():
    """Gini's, of normal values (Lomnicki 1952): as own values alone, rows would have a quarter of it."""
    n = 30
    known = 4 / (n * (n - 1)) * ((n + 1) / 3 + (2 * np.sqrt(3) * (n - 2) - 2 * (2 * n - 3)) / np.pi)
    found, alone = [], []
    for _ in range(400):
        x = RNG.normal(size=n)
        apart = np.abs(x[:, None] - x)
        total = apart.sum(axis=1, keepdims=True)
        losses = total / (n - 1) - (total - apart) / (n - 2)  # of a row's mean, without each other one
        np.fill_diagonal(losses, 0)
        own = total.T / (n - 1)
        values = with_effects(own, losses.sum(axis=0)[None], np.sum(losses**2)[None])
        found.append(variance(values)[0] / n**2)
        alone.append(variance(own)[0] / n**2)
    assert np.mean(found) == pytest.approx(known, rel=0.1)
    assert np.mean(alone) < 0.4 * known
