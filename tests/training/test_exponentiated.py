"""Adam with learnt step sizes against its formulas in plain numpy."""

import math

import numpy as np
import pytest
import torch

from embedkit.training.exponentiated import ExponentiatedAdam

RATES = (0.05, 0.02)


def formulas(gradients, start, lr, limit, decay=0.0):
    """Return the weights after all gradients, `(steps, tensors, ...)`, and the last scale."""
    tensors = [np.array(tensor) for tensor in start]
    m, v, last = ([np.zeros_like(tensor) for tensor in tensors] for _ in range(3))
    gain, scale = [np.ones_like(tensor) for tensor in tensors], 1.0
    for step, g in enumerate(gradients, 1):
        if step > 1:
            flat_g, flat_d = (np.concatenate([each.ravel() for each in many]) for many in (g, last))
            cosine = flat_g @ flat_d / np.linalg.norm(flat_g) / np.linalg.norm(flat_d)
            scale = float(np.clip(scale * math.exp(RATES[0] * cosine), 1 / limit, limit))
        for n in range(len(tensors)):
            if step > 1:
                parts = (each / np.sqrt((each**2).mean()) for each in (g[n], last[n]))
                product = np.clip(np.prod(list(parts), axis=0), -4, 4)
                gain[n] = np.clip(gain[n] * np.exp(RATES[1] * product), 1 / limit, limit)
            m[n] = 0.9 * m[n] + 0.1 * g[n]
            v[n] = 0.999 * v[n] + 0.001 * g[n] ** 2
            direction = m[n] / (1 - 0.9**step) / (np.sqrt(v[n] / (1 - 0.999**step)) + 1e-8)
            last[n] = gain[n] * direction
            tensors[n] = (1 - lr * decay) * tensors[n] - lr * scale * last[n]
    return tensors, scale


@pytest.mark.parametrize(("limit", "decay"), [(10.0, 0.0), (1.2, 0.3)])
def test_it_is_the_formulas(limit, decay):
    numbers = np.random.default_rng(0)
    start = [numbers.normal(size=(3, 4)), numbers.normal(size=5)]
    gradients = [[numbers.normal(size=each.shape) + 0.5 for each in start] for _ in range(40)]
    weights = [torch.nn.Parameter(torch.from_numpy(each.copy())) for each in start]
    optimizer = ExponentiatedAdam(weights, lr=0.01, weight_decay=decay, rates=RATES, limit=limit)
    for each in gradients:
        for weight, gradient in zip(weights, each, strict=True):
            weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    expected, scale = formulas(gradients, start, 0.01, limit, decay)
    for weight, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), other, rtol=0, atol=1e-12)
    assert optimizer.param_groups[0]["scale"] == pytest.approx(scale, rel=1e-12)
    assert 1 < scale <= limit  # the gradients agree


def test_without_rates_it_is_adam():
    first, second = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    ours, adam = ExponentiatedAdam([first], rates=(0.0, 0.0)), torch.optim.Adam([second])
    for step in range(20):
        for weight, optimizer in ((first, ours), (second, adam)):
            weight.grad = torch.sin(torch.arange(4.0) + step)
            optimizer.step()
    torch.testing.assert_close(first.detach(), second.detach(), rtol=0, atol=1e-6)


def test_weights_without_a_gradient_do_not_move():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = ExponentiatedAdam([weight])
    for gradient in (torch.tensor([1.0, 0, 0]), torch.zeros(3), torch.zeros(3)):
        weight.grad = gradient
        optimizer.step()
    assert torch.equal(weight[1:].detach(), torch.ones(2))
    assert torch.isfinite(weight).all()


def test_its_state_is_saved_and_loaded():
    def run(*, restart):
        weight = torch.nn.Parameter(torch.zeros(3))
        optimizer = ExponentiatedAdam([weight], lr=0.01)
        for step in range(6):
            if restart and step == 3:
                state = optimizer.state_dict()
                optimizer = ExponentiatedAdam([weight], lr=0.01)
                optimizer.load_state_dict(state)
            weight.grad = torch.full((3,), float(step) - 1.5)
            optimizer.step()
        return weight.detach(), optimizer.param_groups[0]["scale"]

    (whole, scale), (resumed, again) = run(restart=False), run(restart=True)
    assert torch.equal(whole, resumed)
    assert scale == again != 1
