"""A simpler A-Softmax: at the label the angle counts four times, where that makes the cosine smaller
(kexue.fm 5743, after SphereFace, arXiv 1704.08063).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.margin import Angle, MarginLoss, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SimplerASoftmax(MarginLoss):
    """Settings of `simpler-a-softmax`: the logit at the label is `scale * min(cos(4 theta), cos(theta))`.

    The logit is not monotone: between 45 and 72 degrees, and between 135 and 144, the loss pushes a row away
    from its class.
    """

    scale: float = 30.0

    def __post_init__(self) -> None:
        require_settings(self.scale)

    def target(self, angle: Angle) -> Tensor:
        """Return `min(cos(4 theta), cos(theta))`, `(rows,)`."""
        import torch

        squared = angle.cosine**2
        cosine_of_four = 8 * squared * (squared - 1) + 1  # the Chebyshev polynomial T4
        return torch.minimum(cosine_of_four, angle.cosine)
