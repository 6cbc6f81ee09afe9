"""Softmax with an additive margin: a row shall be nearer to its class than to any other by a margin in cosine
(AM-Softmax, arXiv 1801.05599; CosFace, arXiv 1801.09414; kexue.fm 5743).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.margin import Angle, Batch, cross_entropy, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AMSoftmax:
    """Settings of `am-softmax`: logits `scale * cos`, and `scale * (cos - margin)` at the label."""

    scale: float = 30.0
    margin: float = 0.35  # in cosine
    centres: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_settings(self.scale, self.margin)

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
        exp(log_count) classes, `(classes,)`. With all cosines equal: log(1 + (classes - 1) e^(scale margin)).
        """
        batch = Batch(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, self._target, scale=self.scale)

    def _target(self, angle: Angle) -> Tensor:
        return angle.cosine - self.margin
