"""The regression against the normal equations, solved densely in float64."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.embedding.static.bags import Bags
from embedkit.training.distillation import ridge as module
from embedkit.training.distillation.ridge import WeightedBags, cross_products, ridge, root_weights

TOKENS, DIM = 40, 6


def bags_of(texts: list[list[int]]) -> Bags:
    offsets = np.cumsum([0, *map(len, texts)])
    return Bags(offsets, np.array([token for text in texts for token in text], dtype=np.int32))


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, TOKENS - 4)  # the last tokens never occur
    sizes = rng.integers(0, 12, 90)
    return [rng.choice(TOKENS - 5, size, p=frequency / frequency.sum()).tolist() for size in sizes]


def dense(texts: list[list[int]], weights) -> np.ndarray:
    counts = np.zeros((len(texts), TOKENS))
    for row, text in enumerate(texts):
        np.add.at(counts[row], text, 1.0)
    return counts * np.asarray(weights, dtype=np.float64)[:, None]


@pytest.mark.parametrize("penalty", [0.03, 1.0])
@pytest.mark.parametrize("block", [7, 1000])
def test_the_solution_is_that_of_the_normal_equations(monkeypatch, texts, penalty, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    monkeypatch.setattr(module, "_TOLERANCE", 1e-6)
    monkeypatch.setattr(module, "_ITERATIONS", 400)
    rng = np.random.default_rng(1)
    bags = bags_of(texts)
    weights = root_weights(bags)
    weights[::9] = 0  # held out
    rows = WeightedBags(bags, weights, TOKENS)
    Y, E0 = rng.standard_normal((len(texts), DIM)), rng.standard_normal((TOKENS, DIM))
    B = dense(texts, weights)
    np.testing.assert_allclose(np.concatenate([part.toarray() for _, part in rows.blocks()]), B, atol=1e-6)
    targets = (Y[part].astype(np.float32) for part, _ in rows.blocks())
    cross = cross_products(rows, targets)
    np.testing.assert_allclose(cross, B.T @ Y, atol=1e-4)
    start = E0.astype(np.float32)
    found = ridge(rows, cross, start, penalty, start)
    expected = np.linalg.solve(B.T @ B + penalty * np.eye(TOKENS), B.T @ Y + penalty * E0)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    again = ridge(rows, cross, start, penalty, found + 1)  # another guess leads to the same place
    np.testing.assert_allclose(again, expected, atol=2e-3)
    np.testing.assert_allclose(found[-4:], E0[-4:], atol=1e-6)  # tokens that never occur stay


def test_a_dead_dimension_stays_finite(texts):
    bags = bags_of(texts)
    rows = WeightedBags(bags, root_weights(bags), TOKENS)
    zeros = np.zeros((TOKENS, 2), np.float32)
    np.testing.assert_array_equal(ridge(rows, zeros, zeros, 0.1, zeros), zeros)


def test_weights_and_the_diagonal(texts):
    bags = bags_of([[1, 2, 2], [], [3]])
    np.testing.assert_allclose(root_weights(bags), [3**-0.5, 0, 1])
    rows = WeightedBags(bags, root_weights(bags), TOKENS)
    np.testing.assert_allclose(rows.diagonal()[:4], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)


def test_the_tolerance_is_near_the_minimum(texts):
    rng = np.random.default_rng(2)
    bags = bags_of(texts)
    rows = WeightedBags(bags, root_weights(bags), TOKENS)
    B, Y = dense(texts, root_weights(bags)), rng.standard_normal((len(texts), DIM))
    zeros = np.zeros((TOKENS, DIM), np.float32)
    found = ridge(rows, (B.T @ Y).astype(np.float32), zeros, 0.3, zeros)
    best = np.linalg.solve(B.T @ B + 0.3 * np.eye(TOKENS), B.T @ Y)

    def value(E):
        return ((B @ E - Y) ** 2).sum() + 0.3 * (E**2).sum()

    assert value(best) <= value(found) <= value(best) + 1e-3 * (value(np.zeros_like(best)) - value(best))
