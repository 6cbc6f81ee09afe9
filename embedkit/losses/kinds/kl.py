"""Distillation of scores: the student's softmax over each query's own candidates approaches the teacher's
(Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.distilling import Temperatures, own_candidates
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KL(Temperatures):
    """Settings of `kl`: cosines are divided by `temperature`, the teacher's scores by `teacher_temperature`;
    the loss is KL(teacher || student), the cross-entropy with soft targets minus the teacher's entropy.
    """

    compares: ClassVar[Compared] = "scores"

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        *,
        scores: Tensor,
    ) -> Tensor:
        """Return the mean over the sentences in `rows`.

        `views` are anchors, positives and hard negatives, each `(sentences, dim)`; `scores` `(sentences,
        candidates)` are those of a teacher for the positive and each hard negative. A candidate whose score
        is not finite does not count, and a sentence with fewer than two candidates counts as 0.
        """
        import torch

        own = own_candidates(views, scores, rows)
        absent = ~own.present & own.present.any(dim=1, keepdim=True)
        teacher = own.scores / self.teachers
        wanted = teacher.masked_fill(absent, -torch.inf).log_softmax(dim=1)
        found = (own.cosines / self.temperature).masked_fill(absent, -torch.inf).log_softmax(dim=1)
        apart = wanted.masked_fill(~own.present, 0.0) - found.masked_fill(~own.present, 0.0)
        mean: Tensor = (wanted.exp() * apart).sum(dim=1).mean()
        return mean
