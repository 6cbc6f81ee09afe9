"""ArcFace: what the logit at the label is at any angle, and how steep."""

import math

import pytest
import torch

from embedkit.losses.kinds.arc_face import ArcFace

SCALE = 10.0


def at_angles(angles, margin, *, dtype=torch.float64):
    """Loss and gradient of each row at an angle to its class; the other class is orthogonal to all."""
    angles = torch.tensor(angles, dtype=dtype)
    rows = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=1).requires_grad_()
    vectors = torch.tensor([[1.0, 0, 0], [0, 0, 1]], dtype=dtype)
    loss, labels = ArcFace(SCALE, margin), torch.zeros(1, dtype=torch.int64)
    values = torch.stack([loss(row[None], labels, vectors) for row in rows])
    return values.detach(), torch.autograd.grad(values.sum(), rows)[0]


@pytest.mark.parametrize("margin", [0.05, 0.5, 1.2, math.pi / 2])
def test_the_logit_falls_from_0_to_pi(margin):
    values, _ = at_angles([math.pi * step / 500 for step in range(501)], margin)
    logits = -values.expm1().log()  # the other logit is 0
    assert (logits.diff() < 0).all()
    assert float(logits[0]) == pytest.approx(SCALE * math.cos(margin))
    assert float(logits[-1]) == pytest.approx(SCALE * (-1 - margin * math.sin(margin)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_never_steeper_than_the_scale(dtype):
    """The derivative of cos(theta + m) by the row is at most 1 long, at theta = 0 and pi too."""
    angles = [0.0, 1e-12, 1e-8, 1e-5, 1e-4, 1e-3, 0.01, 1.0, math.pi - 1e-4, math.pi - 1e-8, math.pi]
    _, gradient = at_angles(angles, 0.5, dtype=dtype)
    assert (gradient.norm(dim=1) <= SCALE * (1 + 1e-3)).all()


@pytest.mark.parametrize("theta", [1e-6, 1e-5, 1e-3])
def test_float32_keeps_the_gradient_of_small_angles(theta):
    """Near the class the loss still pulls with scale sin(theta + m); a sine from 1 - cos^2 would be 0."""
    _, gradient = at_angles([theta], 1.5, dtype=torch.float32)
    logit = SCALE * math.cos(theta + 1.5)
    expected = SCALE * math.sin(theta + 1.5) / (1 + math.exp(logit))
    assert float(gradient[0, 1]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("margin", [-0.1, math.pi / 2 + 1e-6, math.nan])
def test_a_margin_with_which_it_would_rise_is_refused(margin):
    with pytest.raises(ValueError, match="is not between 0 and pi/2"):
        ArcFace(margin=margin)
