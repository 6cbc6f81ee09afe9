"""ArcFace with several centres a class: a row shall be near to one of them, so that a class may hold several
meanings, or noise (Deng et al., "Sub-center ArcFace", ECCV 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
class SubCentre:
    """Settings of `sub-centre`: as `arc-face`, theta being the angle to the nearest centre of a class."""

    scale: float = 30.0
    margin: float = 0.5  # radians, up to pi/2
    centres: int = 3  # of each class

    def __post_init__(self) -> None:
        require_settings(self.scale, centres=self.centres)
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

        `class_vectors` are `(classes * centres, dim)`, the centres of a class one after the other; `labels`
        `(rows,)` are numbers of classes; to rows of other labels a class is exp(log_count) classes,
        `(classes,)`. Of equally near centres one gets the gradient.
        """
        batch = Batch(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, self._target, scale=self.scale, centres=self.centres)

    def _target(self, angle: Angle) -> Tensor:
        return additive_angular(angle, self.margin)
