"""The layers of embedkit's own network against plain numpy, formulas and the papers' numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from embedkit.embedding.architectures.blocks.activations import SQUAREPLUS_B, smooth_relu, squareplus
from embedkit.embedding.architectures.blocks.context import log_length_scale
from embedkit.embedding.architectures.blocks.kernel_attention import orthogonal_projection, softmax_exponents
from embedkit.embedding.architectures.blocks.rotary import rotation
from embedkit.embedding.architectures.registry import architecture
from tests.embedding.architectures.examples import IDS, MASK, SPECS, output, tiny
from tests.embedding.architectures.plain_numpy import PlainNumpy

OWN = [text for text in SPECS if tiny(text).config.model_type == "embedkit-encoder"]


@pytest.mark.parametrize("text", OWN)
def test_the_network_is_that_of_plain_numpy(text):
    model = tiny(text)
    found, plain = output(model).detach().numpy(), PlainNumpy(model)
    for row, count in enumerate(MASK.sum(dim=1).tolist()):
        expected = plain(IDS[row, :count].tolist())
        np.testing.assert_allclose(found[row, :count], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", ["bert", "deepnorm", "gau", "pre-norm"])
def test_the_log_length_scale_is_the_plain_one_at_512_tokens(kind):
    sizes = "layers=1,width=8,positions=rotary" + ("" if kind == "gau" else ",heads=2")
    outputs = []
    for scale in ("plain", "log-length"):
        torch.manual_seed(0)
        model = architecture(f"{kind}:{sizes},scale={scale}").build(vocabulary=40, padding=0, max_length=512)
        ids = torch.arange(512)[None] % 39 + 1
        outputs.append(output(model.eval().double(), ids, torch.ones_like(ids)))
        shorter = output(model, ids[:, :64], torch.ones_like(ids[:, :64]))
        outputs.append(shorter)
    torch.testing.assert_close(outputs[0], outputs[2], rtol=0, atol=1e-12)
    assert (outputs[1] - outputs[3]).abs().max() > 1e-6


def test_the_log_length_scale_counts_tokens_without_padding():
    mask = torch.ones(3, 600, dtype=torch.bool)
    mask[1, 512:], mask[2, 1:] = False, False
    expected = [math.log(600) / math.log(512), 1.0, 0.0]
    assert log_length_scale(mask, torch.float64).flatten().tolist() == pytest.approx(expected, abs=1e-15)


def test_rotary_products_depend_on_the_distance():
    turn = rotation(torch.arange(50), 6, torch.float64).turn
    numbers = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 6, generator=numbers, dtype=torch.float64)
    products = turn(query.expand(50, 6)) @ turn(key.expand(50, 6)).T
    torch.testing.assert_close(products[:-7, 7:].diagonal(), products[0, 7].expand(43), rtol=0, atol=1e-12)
    assert float((products[0, 1:] - products[0, 0]).abs().min()) > 1e-3
    torch.testing.assert_close(turn(query.expand(50, 6)).norm(dim=1), query.norm().expand(50))


def test_random_features_are_an_unbiased_estimate_of_the_softmax_kernel():
    """The mean of many estimates lies within 5 of its standard errors, measured on the same estimates."""
    torch.manual_seed(0)
    size, features, draws = 8, 16, 2000
    query, key = (torch.randn(1, size, dtype=torch.float64) for _ in range(2))
    exact = float(torch.exp(query @ key.T / math.sqrt(size)))
    estimates = torch.empty(draws, dtype=torch.float64)
    for draw in range(draws):
        projection = orthogonal_projection(features, size).double()
        f, g = (torch.exp(softmax_exponents(x, projection)) for x in (query, key))
        estimates[draw] = float(f @ g.T) / features
    error = float(estimates.std()) / math.sqrt(draws)
    assert abs(float(estimates.mean()) - exact) < 5 * error
    assert error < 0.05 * exact


def test_random_features_are_orthogonal_within_blocks_and_have_normal_lengths():
    torch.manual_seed(1)
    rows = orthogonal_projection(6000, 6).double()
    for start in range(0, 60, 6):
        products = rows[start : start + 6] @ rows[start : start + 6].T
        assert (products - products.diagonal().diag()).abs().max() < 1e-4
    squares = (rows**2).sum(dim=1)  # chi squared: mean 6, variance 12
    assert abs(float(squares.mean()) - 6) < 5 * math.sqrt(12 / 6000)
    assert rows.mean(dim=0).abs().max() < 5 * math.sqrt(1 / 6000)


@pytest.mark.parametrize(
    ("layers", "alpha", "beta"),
    [(6, 12**0.25, 48**-0.25), (12, 24**0.25, 96**-0.25), (100, 200**0.25, 800**-0.25)],
)
def test_deepnorm_has_the_alpha_and_beta_of_the_paper(layers, alpha, beta):
    """Figure 2 of arXiv 2203.00555: an encoder of N layers has (2N)^(1/4) and (8N)^(-1/4)."""
    torch.manual_seed(0)
    model = architecture(f"deepnorm:layers={layers},width=64").build(vocabulary=9, padding=0, max_length=8)
    assert model.config.residual_scale == pytest.approx(alpha, rel=1e-12)
    branch = model.layers[0].mixing.branch
    xavier = math.sqrt(2 / 128)
    within = 5 * xavier / math.sqrt(2 * 64 * 64)  # standard error of a deviation of 4096 numbers
    for name, gain in (("query", 1.0), ("key", 1.0), ("value", beta), ("output", beta)):
        assert abs(float(getattr(branch, name).weight.detach().std()) - gain * xavier) < within * gain, name
    inner = model.layers[0].feed_forward.branch.inner.weight.detach()
    assert float(inner.std()) == pytest.approx(beta * math.sqrt(2 / (64 + 256)), rel=0.05)


@pytest.mark.parametrize("x", [-3.0, -0.4, 0.0, 0.7, 2.5])
def test_smooth_activations_are_the_ramp_convolved_with_a_density(x):
    def convolved(density):
        return quad(lambda t: (x - t) * density(t), -30, x)[0]

    b = SQUAREPLUS_B
    number = torch.tensor(x, dtype=torch.float64)
    normal = convolved(lambda t: math.exp(-t * t / 2) / math.sqrt(2 * math.pi))
    assert float(smooth_relu(number)) == pytest.approx(normal, abs=1e-9)
    tail = quad(lambda t: (x - t) * b / 2 / (t * t + b) ** 1.5, -np.inf, x)[0]  # a heavy one
    assert float(squareplus(number)) == pytest.approx(tail, abs=1e-7)


def test_squareplus_is_as_near_to_softplus_as_it_can_be():
    """kexue.fm 8833: the best b is 1.52382103, and the largest difference .075931."""
    x = torch.linspace(-12, 12, 48001, dtype=torch.float64)

    def largest(b: float) -> float:
        return float(((x + torch.sqrt(x * x + b)) / 2 - torch.nn.functional.softplus(x)).abs().max())

    best = minimize_scalar(largest, bounds=(1, 2.5), method="bounded", options={"xatol": 1e-9})
    assert best.x == pytest.approx(SQUAREPLUS_B, abs=1e-4)
    assert best.fun == pytest.approx(0.075931, abs=1e-5)


def test_a_text_longer_than_the_positions_is_an_error():
    model = tiny("mlp:layers=1,width=8")
    ids = torch.ones(1, 13, dtype=torch.long)
    with pytest.raises(ValueError, match="the text has 13 tokens, more than the 12 positions"):
        output(model, ids, ids)


def test_a_padding_token_has_no_vector_at_first_and_gets_no_gradient():
    torch.manual_seed(0)
    model = architecture("gau:layers=1,width=8").build(vocabulary=9, padding=2, max_length=8)
    table = model.get_input_embeddings()
    assert not table.weight[2].any()
    ids = torch.tensor([[3, 4, 2]])
    output(model, ids, torch.tensor([[1, 1, 0]]))[0, :2].square().sum().backward()
    assert table.weight.grad[3].any()
    assert not table.weight.grad[2].any()
