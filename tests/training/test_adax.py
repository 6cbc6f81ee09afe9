"""AdaX against the article's formulas, and against overflow."""

import math

import pytest
import torch

from embedkit.training.adax import AdaX, second_weight


def article(gradients, lr, first=0.9, second=1e-4, eps=1e-8):
    """x after each gradient, by the formulas with a v that grows (kexue.fm 7387)."""
    x = m = v = 0.0
    places = []
    for step, g in enumerate(gradients, 1):
        m = first * m + (1 - first) * g
        v = (1 + second) * v + second * g * g
        x -= lr * m / (math.sqrt(v / ((1 + second) ** step - 1)) + eps)
        places.append(x)
    return places


def test_it_is_the_articles():
    gradients = torch.randn(300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = AdaX([x], lr=0.01)
    for gradient, expected in zip(gradients, article(gradients.tolist(), 0.01), strict=True):
        x.grad = gradient.clone()
        optimizer.step()
        assert float(x.detach()) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_the_newest_square_is_all_at_first_and_then_less():
    weights = [second_weight(step, 1e-4) for step in (1, 2, 1000, 1_000_000, 10_000_000)]
    assert weights[0] == pytest.approx(1, rel=1e-12)
    assert weights == sorted(weights, reverse=True)
    assert weights[2] == pytest.approx(1e-4 / ((1 + 1e-4) ** 1000 - 1), rel=1e-9)
    assert weights[-1] == 0.0  # where (1+b2)^t is beyond any number


def test_weight_decay_is_apart_from_the_gradient():
    x = torch.nn.Parameter(torch.ones(()))
    x.grad = torch.zeros(())
    AdaX([x], lr=0.1, weight_decay=0.5).step()
    assert float(x.detach()) == pytest.approx(0.95)


def test_its_state_is_saved_and_loaded():
    def run(restart):
        x = torch.nn.Parameter(torch.zeros(3))
        optimizer = AdaX([x], lr=0.01)
        for step in range(6):
            if restart and step == 3:
                state = optimizer.state_dict()
                optimizer = AdaX([x], lr=0.01)
                optimizer.load_state_dict(state)
            x.grad = torch.full((3,), float(step))
            optimizer.step()
        return x.detach()

    assert torch.equal(run(False), run(True))
