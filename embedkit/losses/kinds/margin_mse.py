"""Margin-MSE: the student learns how much higher the teacher scores the positive than each hard negative
(Hofstätter et al. 2020, arXiv 2010.02666).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.distilling import own_candidates
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MarginMSE:
    """Settings of `margin-mse`: the squared error of differences between cosines times `scale` and a
    teacher's scores.
    """

    scale: float = 1.0  # factor on the cosines, for a teacher whose scores have another range
    compares: ClassVar[Compared] = "scores"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale={self.scale} is not a positive number")

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        *,
        scores: Tensor,
    ) -> Tensor:
        """Return the mean over the sentences in `rows` of the mean error of their hard negatives.

        `views` are anchors, positives and hard negatives, each `(sentences, dim)`; `scores` `(sentences,
        candidates)` are those of a teacher for the positive and each hard negative. A candidate whose score
        is not finite does not count, and a sentence without a scored negative counts as 0.
        """
        own = own_candidates(views, scores, rows)
        student, teacher = self.scale * own.cosines, own.scores
        errors = (student[:, :1] - student[:, 1:]) - (teacher[:, :1] - teacher[:, 1:])
        counted = own.present[:, :1] & own.present[:, 1:]
        squares = errors.square().masked_fill(~counted, 0.0).sum(dim=1)
        mean: Tensor = (squares / counted.sum(dim=1).clamp(min=1)).mean()
        return mean
