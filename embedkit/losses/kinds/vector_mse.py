"""Distillation of vectors: each text's vector approaches that of a teacher, so that a student is at home in
its teacher's space (Reimers and Gurevych 2020, arXiv 2004.09813; Vujanic and Rueckstiess 2025, LEAF, arXiv
2509.12539).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.contrastive import absent_columns, unit_rows
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class VectorMSE:
    """The squared distance between the unit vectors of student and teacher, 2 - 2 cos."""

    compares: ClassVar[Compared] = "vectors"

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        counts: Tensor | None = None,
        *,
        teacher: Sequence[Tensor],
    ) -> Tensor:
        """Return the mean over all views of the sentences in `rows`.

        `views` are any number of views, each `(sentences, dim)`, and `teacher` are the teacher's vectors of
        the same texts, each `(sentences, at least dim)`; the first `dim` dimensions are taught. `counts`
        `(sentences,)` is the number of hard negatives, from the third view on, per sentence; the other places
        hold padding, whose loss is 0.
        """
        import torch

        absent = absent_columns(counts, len(views) - 2, before=2)
        errors = []
        for view, wanted in zip(views, teacher, strict=True):
            found = unit_rows(view[rows])
            taught = unit_rows(wanted[rows, : view.shape[1]].to(found.dtype))
            errors.append((found - taught).square().sum(dim=1))
        total = torch.stack(errors)
        if absent is not None:
            total = total.masked_fill(torch.stack([each[rows] for each in absent.chunk(len(views))]), 0.0)
        mean: Tensor = total.mean()
        return mean
