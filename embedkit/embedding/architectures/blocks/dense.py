"""Dense layers whose initial weights may be smaller than in other layers."""

from __future__ import annotations

from torch import nn


class GainedLinear(nn.Linear):  # type: ignore[misc]
    """A dense layer of values, outputs or a feed-forward part, whose Xavier initial weights have the gain
    `initial_gain` (DeepNorm's beta, arXiv 2203.00555).
    """
