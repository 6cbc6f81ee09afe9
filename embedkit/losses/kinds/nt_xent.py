"""NT-Xent: all views of all sentences in one batch; each view is the other's positive (kexue.fm 8348; SimCLR,
arXiv 2002.05709, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.losses.view_contrast import Columns, Sides, ViewContrast

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NTXent(ViewContrast):
    """Settings of `nt-xent`: logits are cosines divided by `temperature`, in both directions; a row is never
    compared with itself. The loss is log(2 sentences - 1) when all vectors are equal.
    """

    def sides(self, views: Sequence[Tensor], rows: slice) -> Sides:
        """Return both views as queries and as each other's positives, and all views as candidates."""
        import torch

        first, second = views[0][rows], views[1][rows]
        return Sides(torch.cat([first, second]), torch.cat([second, first]), torch.cat(list(views)))

    def columns(self, places: Tensor, sentences: int) -> Columns:
        """Return the other view as the target, and the query itself as the column to leave out."""
        import torch

        second = places + sentences
        return Columns(torch.cat([second, places]), torch.cat([places, second]), 2, 2)
