"""Sub-centre ArcFace: several centres per class. A row must lie near one of them, so a class may hold several
meanings, or noise (Deng et al., "Sub-center ArcFace", ECCV 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.margin import Angle, MarginLoss, additive_angular, require_radians, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SubCentre(MarginLoss):
    """Settings of `sub-centre`: as `arc-face`, where theta is the angle to the nearest centre of a class.

    When several centres are equally near, one of them gets the gradient.
    """

    scale: float = 30.0
    margin: float = 0.5  # radians, up to pi/2
    centres: int = 3  # per class

    def __post_init__(self) -> None:
        require_settings(self.scale, centres=self.centres)
        require_radians(self.margin)

    def target(self, angle: Angle) -> Tensor:
        """Return `cos(theta + margin)`, `(rows,)`."""
        return additive_angular(angle, self.margin)
