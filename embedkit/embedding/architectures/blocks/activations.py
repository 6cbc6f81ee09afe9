"""Activations: smooth versions of the ramp max(0, x), and GELU.

Convolving the ramp with a density smooths it (kexue.fm 8718). The logistic density gives softplus, the normal
density `smooth-relu`, and the density b / (2 (x^2 + b)^(3/2)) squareplus. GELU is x times the unit step
smoothed by the normal density.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

SQUAREPLUS_B = 1.52382103  # makes the largest difference from softplus smallest, .0759 (kexue.fm 8833)


def squareplus(x: Tensor) -> Tensor:
    """Return (x + sqrt(x^2 + b)) / 2 (arXiv 2112.11687; kexue.fm 8833)."""
    return (x + torch.sqrt(x * x + SQUAREPLUS_B)) / 2


def smooth_relu(x: Tensor) -> Tensor:
    """Return the ramp convolved with the standard normal density: x Phi(x) + phi(x) (kexue.fm 8718)."""
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2 + density


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": nn.functional.gelu,
    "relu": nn.functional.relu,
    "silu": nn.functional.silu,
    "softplus": nn.functional.softplus,
    "squareplus": squareplus,
    "smooth-relu": smooth_relu,
}
