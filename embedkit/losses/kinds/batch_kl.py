"""Distillation of similarities: each text's softmax over all texts of a batch approaches that of a teacher's
vectors; no positives are needed (SEED: Fang et al. 2021, arXiv 2101.04731, with the batch in place of its
queue).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.contrastive import absent_columns, unit_rows
from embedkit.losses.distilling import Taught, Temperatures, divergence
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BatchKL(Temperatures):
    """Settings of `batch-kl`: the student's cosines are divided by `temperature`, the teacher's by
    `teacher_temperature`; the loss is KL(teacher || student) over all other texts of the batch.
    """

    compares: ClassVar[Compared] = "similarities"

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

        `views` are any number of views, each `(sentences, dim)`, and `teacher` are the teacher's unit vectors
        of the same texts, each `(sentences, its dim)`. A text is not compared with itself, nor with texts of
        equal number in `texts`. `counts` `(sentences,)` is the number of hard negatives, from the third view
        on, per sentence; the other places hold padding, whose loss is 0.
        """
        import torch

        unit = [unit_rows(view) for view in views]
        sentences, device = len(unit[0]), unit[0].device
        numbers = torch.arange(len(unit) * sentences, device=device).chunk(len(unit))
        same = numbers if texts is None else texts
        absent = absent_columns(counts, len(unit) - 2, before=2)
        if absent is None:
            absent = torch.zeros(len(unit) * sentences, dtype=torch.bool, device=device)
        taught = Taught(
            queries=torch.cat([view[rows] for view in unit]),
            candidates=torch.cat(unit),
            teacher_queries=torch.cat([view[rows] for view in teacher]),
            teacher_candidates=torch.cat(list(teacher)),
            same=(torch.cat([view[rows] for view in same]), torch.cat(list(same))),
            skipped=torch.cat([view[rows] for view in absent.chunk(len(unit))]),
            absent=absent,
        )
        return divergence(taught, self.temperature, self.teachers)
