"""What the losses of distillation share: a query's own candidates, and softmax over all texts of a batch.

A teacher's scores have any scale. Scores that are not finite stand for candidates that are not there or were
not scored; they have no value and no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from embedkit.losses.contrastive import TILE, unit_rows

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx


class Scored(NamedTuple):
    """The own candidates of some queries: the positive first, then the hard negatives."""

    cosines: Tensor  # (rows, candidates), of the student
    scores: Tensor  # (rows, candidates), of the teacher; 0 where there is none
    present: Tensor  # (rows, candidates): True where the teacher has scored a candidate


def own_candidates(views: Sequence[Tensor], scores: Tensor, rows: slice) -> Scored:
    """Return the own candidates of the sentences in `rows`, from views `(sentences, dim)` and scores
    `(sentences, candidates)`.
    """
    import torch

    unit = [unit_rows(view[rows]) for view in views]
    cosines = torch.stack([(unit[0] * other).sum(dim=1) for other in unit[1:]], dim=1)
    wide = scores[rows].to(cosines.dtype)
    present = torch.isfinite(wide)
    return Scored(cosines, wide.masked_fill(~present, 0.0), present)


class Taught(NamedTuple):
    """Queries and candidates of a student and of its teacher, at unit length."""

    queries: Tensor  # (rows, dim)
    candidates: Tensor  # (columns, dim)
    teacher_queries: Tensor  # (rows, its dim)
    teacher_candidates: Tensor  # (columns, its dim)
    same: tuple[Tensor, Tensor]  # (rows,), (columns,): a query leaves out the candidates of equal number
    skipped: Tensor  # (rows,): True for queries that are padding
    absent: Tensor  # (columns,): True for candidates that are padding


def divergence(taught: Taught, temperature: float, teacher_temperature: float) -> Tensor:
    """Return the mean over queries of KL(teacher || student) between their softmax over the candidates.

    Memory holds some rows of logits and the gradient. A query without any candidate counts as 0.
    """
    import torch

    class Sum(torch.autograd.Function):  # type: ignore[misc]
        """The sum over rows, with its gradient computed in the forward pass."""

        @staticmethod
        def forward(ctx: FunctionCtx, queries: Tensor, candidates: Tensor) -> Tensor:
            """Return the sum, and keep its gradient."""
            own = taught._replace(queries=queries, candidates=candidates)
            total, of_queries, of_candidates = _sum(own, temperature, teacher_temperature)
            if any(ctx.needs_input_grad):
                ctx.save_for_backward(of_queries, of_candidates)
            return total

        @staticmethod
        def backward(ctx: FunctionCtx, factor: Tensor) -> tuple[Tensor, Tensor]:
            """Return the gradients of queries and candidates."""
            of_queries, of_candidates = ctx.saved_tensors
            return factor * of_queries, factor * of_candidates

    with torch.autocast(taught.queries.device.type, enabled=False):
        total: Tensor = Sum.apply(taught.queries, taught.candidates)
        return total / len(taught.queries)


def _sum(taught: Taught, temperature: float, teacher_temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum over queries, and its gradients `(rows, dim)` and `(columns, dim)`.

    The gradient with respect to the student's logits is its softmax minus the teacher's.
    """
    import torch

    queries, candidates = taught.queries, taught.candidates
    of_queries, of_candidates = torch.zeros_like(queries), torch.zeros_like(candidates)
    total, block = queries.new_zeros(()), max(1, TILE * TILE // max(1, len(candidates)))
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        left_out = (taught.same[0][rows, None] == taught.same[1]) | taught.absent
        counted = ~(left_out.all(dim=1) | taught.skipped[rows])
        left_out &= counted[:, None]  # otherwise a row without candidates would be NaN
        teacher = taught.teacher_queries[rows] @ taught.teacher_candidates.T
        wanted = _log_softmax(teacher.to(queries.dtype) / teacher_temperature, left_out)
        found = _log_softmax(queries[rows] @ candidates.T / temperature, left_out)
        shares = wanted.exp()
        values = (shares * (wanted - found)).masked_fill_(left_out | ~counted[:, None], 0.0)
        total += values.sum()
        slopes = (found.exp() - shares) * (counted[:, None] / temperature)
        of_queries[rows] = slopes @ candidates
        of_candidates += slopes.T @ queries[rows]
    return total, of_queries, of_candidates


def _log_softmax(logits: Tensor, left_out: Tensor) -> Tensor:
    import torch

    found: Tensor = logits.masked_fill_(left_out, -torch.inf).log_softmax(dim=1)
    return found


@dataclass(frozen=True)
class Temperatures:
    """The temperatures by which the student's cosines and the teacher's scores are divided."""

    temperature: float = 0.05
    teacher_temperature: float | None = None  # none: the same

    def __post_init__(self) -> None:
        for name in ("temperature", "teacher_temperature"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 1e-37):
                raise ValueError(f"{name}={value} is not a positive number")

    @property
    def teachers(self) -> float:
        """The teacher's temperature."""
        return self.teacher_temperature or self.temperature
