"""AM-Softmax: softmax with an additive margin. The cosine of a row to its own class must exceed the cosine to
every other class by the margin (arXiv 1801.05599; CosFace, arXiv 1801.09414; kexue.fm 5743).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.margin import Angle, MarginLoss, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AMSoftmax(MarginLoss):
    """Settings of `am-softmax`: logits are `scale * cos`, and `scale * (cos - margin)` at the label.

    When all cosines are equal, the loss is log(1 + (classes - 1) e^(scale margin)).
    """

    scale: float = 30.0
    margin: float = 0.35  # subtracted from the cosine
    margin_is_cosine: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_settings(self.scale, self.margin)

    def target(self, angle: Angle) -> Tensor:
        """Return `cos(theta) - margin`, `(rows,)`."""
        return angle.cosine - self.margin
