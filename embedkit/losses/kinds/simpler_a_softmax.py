"""A-Softmax made simple: at the label the angle counts four times, where that makes the cosine smaller
(kexue.fm 5743, after SphereFace, arXiv 1704.08063).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.margin import Angle, Batch, cross_entropy, require_settings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SimplerASoftmax:
    """Settings of `simpler-a-softmax`: at the label `scale * min(cos(4 theta), cos(theta))`.

    Not monotone: between 45 and 72 degrees, and between 135 and 144, it pushes a row away from its class.
    """

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
        exp(log_count) classes, `(classes,)`.
        """
        batch = Batch(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, _target, scale=self.scale)


def _target(angle: Angle) -> Tensor:
    import torch

    squared = angle.cosine**2
    cosine_of_four = 8 * squared * (squared - 1) + 1  # the Chebyshev polynomial T4
    return torch.minimum(cosine_of_four, angle.cosine)
