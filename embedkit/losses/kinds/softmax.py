"""Softmax of scaled cosines: the margin losses without a margin (NormFace, arXiv 1704.06369)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.margin import Angle, MarginLoss, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Softmax(MarginLoss):
    """Settings of `softmax`: logits are `scale * cos`, without a bias.

    When all cosines are equal, the loss is log(classes).
    """

    scale: float = 30.0

    def __post_init__(self) -> None:
        require_settings(self.scale)

    def target(self, angle: Angle) -> Tensor:
        """Return `cos(theta)`, `(rows,)`."""
        return angle.cosine
