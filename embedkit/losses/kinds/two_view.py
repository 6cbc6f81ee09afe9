"""The two-view loss of SimCSE: each sentence must retrieve its second view among all candidates of the batch
(Gao, Yao and Chen 2021, arXiv 2104.08821, equations 1 and 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.view_contrast import Columns, Sides, ViewContrast

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TwoView(ViewContrast):
    """Settings of `two-view`: logits are cosines divided by `temperature`; the loss is the cross-entropy on
    the diagonal, in one direction. `hard_negative_weight` is the paper's alpha, whose logarithm its code adds
    to the logit. The loss is log(sentences) when all vectors are equal.
    """

    def sides(self, views: Sequence[Tensor], rows: slice) -> Sides:
        """Return the first view as queries, the second as positives, and all others as candidates."""
        import torch

        return Sides(views[0][rows], views[1][rows], torch.cat(list(views[1:])))

    def columns(self, places: Tensor, sentences: int) -> Columns:
        """Return the second view as the target; no column is left out."""
        import torch

        return Columns(places, torch.full_like(places, -1), 1, 1)
