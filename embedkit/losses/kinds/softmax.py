"""Softmax of scaled cosines: margin losses without a margin (NormFace, arXiv 1704.06369)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.margin import Angle, Batch, cross_entropy, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Softmax:
    """Settings of `softmax`: logits `scale * cos`, no bias."""

    scale: float = 30.0
    centres: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_settings(self.scale)

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
        exp(log_count) classes, `(classes,)`. With all cosines equal: log(classes).
        """
        batch = Batch(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, _target, scale=self.scale)


def _target(angle: Angle) -> Tensor:
    return angle.cosine
