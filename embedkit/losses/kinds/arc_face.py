"""Softmax with an angular margin: a row's angle to its class is counted as larger than it is (Deng et al.
2019, arXiv 1801.07698).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.margin import (
    Angle,
    Batch,
    additive_angular,
    cross_entropy,
    require_radians,
    require_settings,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ArcFace:
    """Settings of `arc-face`: logits `scale * cos(theta)`, at the label `scale * cos(theta + margin)`."""

    scale: float = 30.0
    margin: float = 0.5  # radians, up to pi/2
    centres: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_settings(self.scale)
        require_radians(self.margin)

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        class_vectors: Tensor,
        *,
        row_weights: Tensor | None = None,
        log_counts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean over rows `(rows, dim)` of weight `(rows,)` times cross-entropy.

        `labels` `(rows,)` are places in `class_vectors` `(classes, dim)`; to rows of other labels a class is
        exp(log_count) classes, `(classes,)`. Beyond theta + margin = pi the logit goes on falling.
        """
        batch = Batch(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, self._target, scale=self.scale)

    def _target(self, angle: Angle) -> Tensor:
        return additive_angular(angle, self.margin)
