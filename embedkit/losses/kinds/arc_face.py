"""ArcFace: softmax with an angular margin. The margin is added to the angle between a row and its
own class (Deng et al. 2019, arXiv 1801.07698).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.margin import Angle, MarginLoss, additive_angular, require_radians, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ArcFace(MarginLoss):
    """Settings of `arc-face`: logits `scale * cos(theta)`, and `scale * cos(theta + margin)` at the label.

    The logit keeps decreasing where theta + margin exceeds pi.
    """

    scale: float = 30.0
    margin: float = 0.5  # radians, up to pi/2

    def __post_init__(self) -> None:
        require_settings(self.scale)
        require_radians(self.margin)

    def target(self, angle: Angle) -> Tensor:
        """Return `cos(theta + margin)`, `(rows,)`."""
        return additive_angular(angle, self.margin)
