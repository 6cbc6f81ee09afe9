"""Compute the cross-entropy of queries against candidates, which contrastive losses share, in tiles.

The logits of a large batch are the largest matrix of a training step: 65 536 sentences need 17 GB.
Here a tile of rows and columns is computed, used and dropped: once for the logarithm of each row's sum,
and once more for the gradient, whose closed form for logits l is softmax(l) minus one at the target. Memory
holds one tile and the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx

TILE = 1024  # rows and columns per tile of logits: 4 MB in float32

_SMALLEST = 1e-37  # temperature whose reciprocal, and logits with it, fit into float32


class Texts(NamedTuple):
    """Numbers that identify texts: equal texts have equal numbers."""

    queries: Tensor  # (rows,)
    positives: Tensor  # (rows,)
    candidates: Tensor  # (columns,)


class Guide(NamedTuple):
    """Another encoder's vectors, unit length, by which false negatives are recognised (GISTEmbed: Solatorio
    2024, arXiv 2402.16829, section 3).
    """

    queries: Tensor  # (rows, dim)
    candidates: Tensor  # (columns, dim)
    limits: Tensor  # (rows, 1): candidates that the guide scores above this are left out

    @classmethod
    def of(cls, queries: Tensor, positives: Tensor, candidates: Tensor, margin: float) -> Guide:
        """Return the guide whose limits are the positives' similarities minus the margin.

        A similarity must exceed its limit by more than the rounding of a sum of `dim` products.
        """
        import torch

        rounding = queries.shape[1] ** 0.5 * torch.finfo(queries.dtype).eps
        limits = (queries * positives).sum(dim=1, keepdim=True) - margin + rounding
        return cls(queries, candidates, limits)

    def excludes(self, rows: slice, columns: slice) -> Tensor:
        """Return a mask `(rows, columns)` of the candidates to leave out."""
        return self.queries[rows] @ self.candidates[columns].T > self.limits[rows]


class Contrast(NamedTuple):
    """The vectors to compare: every query with every candidate, of which one is the query's positive."""

    queries: Tensor  # (rows, dim), unit length
    candidates: Tensor  # (columns, dim), unit length
    targets: Tensor  # (rows,): the column of each query's positive
    hidden: Tensor  # (rows,): the column to leave out per query; -1: no column
    negatives: Tensor  # (rows, n): the columns of each query's own hard negatives
    texts: Texts | None  # None: equal texts are not masked
    absent: Tensor | None = None  # (columns,): True for candidates that are padding; None: no padding
    guide: Guide | None = None  # None: nothing but equal texts is masked


@dataclass(frozen=True)
class Scale:
    """The settings that turn cosines into logits."""

    temperature: float
    hard_negative_weight: float = 1.0  # factor on the exponential of each query's own hard negatives
    reference: int | None = None  # n0: logits of a query with n candidates are multiplied by log n / log n0


def cross_entropy(contrast: Contrast, scale: Scale) -> Tensor:
    """Return the mean over rows of `-log softmax(logits)` at the target, in float32 or better.

    Candidates with the text of the query or of its positive are left out, and those that the guide scores
    above the positive. `scale.reference` sets the entropy-invariant scale (kexue.fm 8823).
    """
    import torch

    class Sum(torch.autograd.Function):  # type: ignore[misc]
        """The sum over rows, with its gradient computed in the forward pass."""

        @staticmethod
        def forward(ctx: FunctionCtx, queries: Tensor, candidates: Tensor) -> Tensor:
            """Return the sum, and keep its gradient."""
            tiles = _Tiles(contrast._replace(queries=queries, candidates=candidates), scale)
            losses = tiles.losses()
            if any(ctx.needs_input_grad):
                ctx.save_for_backward(*tiles.gradients(losses))
            return losses.sum()

        @staticmethod
        def backward(ctx: FunctionCtx, factor: Tensor) -> tuple[Tensor, Tensor]:
            """Return the gradients of queries and candidates."""
            of_queries, of_candidates = ctx.saved_tensors
            return factor * of_queries, factor * of_candidates

    with torch.autocast(contrast.queries.device.type, enabled=False):
        total: Tensor = Sum.apply(contrast.queries, contrast.candidates)
        return total / len(contrast.queries)


class _Tiles:
    """The logits `(rows, columns)` of a contrast in tiles, minus the logit of each row's target."""

    def __init__(self, contrast: Contrast, scale: Scale) -> None:
        self.contrast, self.bias = contrast, math.log(scale.hard_negative_weight)
        rows, columns = len(contrast.queries), len(contrast.candidates)
        self.rows = [slice(start, min(start + TILE, rows)) for start in range(0, rows, TILE)]
        self.columns = [slice(start, min(start + TILE, columns)) for start in range(0, columns, TILE)]
        self.factor = self._factor(scale)
        positives = contrast.candidates[contrast.targets]
        self.at_targets = (contrast.queries * positives).sum(dim=1, keepdim=True) * self.factor

    def losses(self) -> Tensor:
        """Return the logarithm of the sum of exponentials per row, `(rows,)`; it is never below 0."""
        import torch

        parts = []
        for rows in self.rows:
            sums = [self._logits(rows, columns).logsumexp(dim=1) for columns in self.columns]
            parts.append(torch.stack(sums).logsumexp(dim=0))
        return torch.cat(parts)

    def gradients(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the sum over rows, `(rows, dim)` and `(columns, dim)`."""
        import torch

        queries, candidates, targets = self.contrast[:3]
        of_queries = -candidates[targets] * self.factor
        of_candidates = torch.zeros_like(candidates).index_add_(0, targets, -queries * self.factor)
        for rows in self.rows:
            for columns in self.columns:
                softmax = (self._logits(rows, columns) - losses[rows, None]).exp_()
                slope = softmax.mul_(self.factor[rows])
                of_queries[rows].addmm_(slope, candidates[columns])
                of_candidates[columns].addmm_(slope.T, queries[rows])
        return of_queries, of_candidates

    def _logits(self, rows: slice, columns: slice) -> Tensor:
        import torch

        logits = (self.contrast.queries[rows] @ self.contrast.candidates[columns].T).mul_(self.factor[rows])
        places = self._places(columns)
        for own in self.contrast.negatives[rows].T if self.bias else ():
            logits.add_((places == own[:, None]).to(logits.dtype), alpha=self.bias)
        logits.sub_(self.at_targets[rows]).masked_fill_(places == self.contrast.targets[rows, None], 0.0)
        return logits.masked_fill_(self._left_out(rows, columns), -torch.inf)

    def _left_out(self, rows: slice, columns: slice) -> Tensor:
        """Return a mask `(rows, columns)` of the candidates to leave out per query; never a target."""
        contrast, places = self.contrast, self._places(columns)
        left_out = places == contrast.hidden[rows, None]
        if contrast.texts is not None:
            mine, positives, theirs = contrast.texts
            left_out |= theirs[columns] == mine[rows, None]
            left_out |= theirs[columns] == positives[rows, None]
        if contrast.absent is not None:
            left_out |= contrast.absent[columns]
        if contrast.guide is not None:
            left_out |= contrast.guide.excludes(rows, columns)
        return left_out & (places != contrast.targets[rows, None])

    def _places(self, columns: slice) -> Tensor:
        import torch

        return torch.arange(columns.start, columns.stop, device=self.contrast.targets.device)

    def _factor(self, scale: Scale) -> Tensor:
        """Return the factor on each row's cosines, `(rows, 1)`."""
        import torch

        queries = self.contrast.queries
        factor = queries.new_full((len(queries), 1), 1 / scale.temperature)
        if scale.reference is None:
            return factor
        counts = [
            sum((~self._left_out(rows, columns)).sum(dim=1, keepdim=True) for columns in self.columns)
            for rows in self.rows
        ]
        return factor * torch.cat(counts).to(queries.dtype).log() / math.log(scale.reference)


def absent_columns(counts: Tensor | None, negatives: int, before: int) -> Tensor | None:
    """Return a mask `(columns,)` of the candidates that are padding for missing hard negatives.

    Row i has the first `counts[i]` of `negatives` views of hard negatives, which follow `before` views
    that every row has. Return None where every row has all of them.
    """
    import torch

    if counts is None:
        return None
    places = torch.arange(-before, negatives, device=counts.device)
    return (counts <= places[:, None]).flatten()


def require_settings(
    temperature: float, hard_negative_weight: float, reference: int | None, guide_margin: float
) -> None:
    """Raise ValueError for settings that are invalid for every contrastive loss."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature={temperature} is not a positive number")
    if temperature < _SMALLEST:
        raise ValueError(f"temperature={temperature} is too small for float32")
    if not (math.isfinite(hard_negative_weight) and hard_negative_weight > 0):
        raise ValueError(f"hard_negative_weight={hard_negative_weight} is not a positive number")
    if reference is not None and reference < 2:
        raise ValueError(f"scale_with_candidates must be at least 2, got {reference}")
    if not 0 <= guide_margin < 2:
        raise ValueError(f"guide_margin must be at least 0 and less than 2, got {guide_margin}")


def unit_rows(vectors: Tensor) -> Tensor:
    """Return the rows scaled to unit length, in float32, or in float64 where the input is."""
    import torch

    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    return torch.nn.functional.normalize(wide, dim=1)
