"""Simpler A-Softmax: the logit at the label at known angles, and where it pushes the wrong way."""

import math

import pytest
import torch

from embedkit.losses.kinds.simpler_a_softmax import SimplerASoftmax

SCALE = 2.0


def at_degrees(degrees):
    """The logit of the label over the scale, and its slope by the angle."""
    theta = torch.tensor(math.radians(degrees), dtype=torch.float64, requires_grad=True)
    row = torch.stack([theta.cos(), theta.sin(), torch.zeros_like(theta)])
    vectors = torch.eye(3, dtype=torch.float64)[[0, 2]]  # the other class is orthogonal: its logit is 0
    loss = SimplerASoftmax(SCALE)(row[None], torch.tensor([0]), vectors)
    logit = -loss.expm1().log() / SCALE
    return float(logit.detach()), float(torch.autograd.grad(logit, theta)[0])


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, 1),
        (15, 0.5),
        (22.5, 0),
        (30, -0.5),
        (45, -1),
        (60, -0.5),
        (90, 0),
        (100, None),
        (135, -1),
        (180, -1),
    ],
)
def test_known_angles(degrees, expected):
    """cos(4 theta) below 72 degrees and from 120 to 144, else cos(theta)."""
    known = math.cos(math.radians(degrees)) if expected is None else expected
    assert at_degrees(degrees)[0] == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize("degrees", [50, 70, 140])
def test_it_pushes_away_where_its_docstring_says_so(degrees):
    assert at_degrees(degrees)[1] > 0


@pytest.mark.parametrize("degrees", [5, 40, 75, 115, 125, 150, 175])
def test_it_pulls_elsewhere(degrees):
    assert at_degrees(degrees)[1] < 0
