"""Compute the cross-entropy of rows against class vectors, which all margin losses share, in blocks of rows.

A margin changes one logit per row, the logit of its own class, which depends on the row and that class vector
alone. The matrix of all other logits is computed, used and dropped one block of rows at a time, along with
its gradient: memory holds one block and the gradient, for any number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from embedkit.losses.contrastive import unit_rows
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx

BLOCK = 2**24  # logits per block: 64 MB in float32


class LabelledRows(NamedTuple):
    """Rows with their labels, and the vectors of the classes."""

    embeddings: Tensor  # (rows, dim)
    labels: Tensor  # (rows,): the class of each row
    class_vectors: Tensor  # (classes * centres, dim), the centres of a class one after the other
    row_weights: Tensor | None = None  # (rows,)
    log_counts: Tensor | None = None  # (classes,): rows of other classes count it exp(log_count) times


class Angle(NamedTuple):
    """The angle between each row and the nearest centre of its own class."""

    cosine: Tensor  # (rows,)
    sine: Tensor  # (rows,); its gradient is finite at cosines of 1 and -1 too


class MarginLoss:
    """A loss over texts with one label each: softmax cross-entropy of scaled cosines to the class vectors,
    where `target` replaces the cosine at the label.

    A kind is a frozen dataclass that inherits from this class: it has the setting `scale` and defines
    `target`.
    """

    compares: ClassVar[Compared] = "labels"
    margin_is_cosine: ClassVar[bool] = False  # whether the margin is subtracted from a cosine
    scale: float
    centres: int = 1  # vectors per class

    def target(self, angle: Angle) -> Tensor:
        """Return the value that replaces the cosine at the label, `(rows,)`."""
        raise NotImplementedError

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
        `(rows,)` are class numbers. With `log_counts` `(classes,)`, rows of other labels count a class
        exp(log_count) times.
        """
        batch = LabelledRows(embeddings, labels, class_vectors, row_weights, log_counts)
        return cross_entropy(batch, self.target, scale=self.scale, centres=self.centres)


def cross_entropy(
    batch: LabelledRows, target: Callable[[Angle], Tensor], *, scale: float, centres: int = 1
) -> Tensor:
    """Return the mean over rows of weight times `-log softmax(logits)` at the label, in float32 or better.

    Logits are `scale * cos` to the nearest centre of each class, plus `log_counts`; the logit at the label is
    `scale * target(angle)`, `(rows,)`. The result is never below 0. Weights and counts get no gradient.
    """
    import torch

    class Sum(torch.autograd.Function):  # type: ignore[misc]
        """The sum over rows, with its gradient computed in the forward pass."""

        @staticmethod
        def forward(ctx: FunctionCtx, *inputs: Tensor) -> Tensor:
            """Return the sum, and keep its gradient."""
            leaves = [tensor.detach().requires_grad_(any(ctx.needs_input_grad)) for tensor in inputs]
            total = _sum_in_blocks(batch, *leaves, scale=scale, centres=centres)
            ctx.save_for_backward(*(leaf.grad for leaf in leaves))
            return total

        @staticmethod
        def backward(ctx: FunctionCtx, factor: Tensor) -> tuple[Tensor, ...]:
            """Return the gradients of the inputs."""
            return tuple(factor * gradient for gradient in ctx.saved_tensors)

    with torch.autocast(batch.embeddings.device.type, enabled=False):
        unit = unit_rows(batch.embeddings)
        classes = unit_rows(batch.class_vectors).to(unit.dtype)
        own = classes[_nearest(unit, classes, batch.labels, centres)]
        total: Tensor = Sum.apply(unit, classes, scale * target(_angle(unit, own)))
        return total / len(unit)


def additive_angular(angle: Angle, margin: float) -> Tensor:
    """Return `cos(theta + margin)`, or `cos(theta) - margin sin(margin)` where theta + margin exceeds pi.

    The value decreases over the whole range of theta from 0 to pi, for margins up to pi/2 (Deng et al. 2019,
    arXiv 1801.07698; the second case is in the code of that paper).
    """
    import torch

    turned = angle.cosine * math.cos(margin) - angle.sine * math.sin(margin)
    beyond = angle.cosine <= -math.cos(margin)
    return torch.where(beyond, angle.cosine - margin * math.sin(margin), turned)


def require_settings(scale: float, margin: float = 0.0, centres: int = 1) -> None:
    """Raise ValueError for settings that are invalid for every margin loss."""
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale={scale} is not a positive number")
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin must be at least 0, got {margin}")
    if centres < 1:
        raise ValueError(f"centres must be at least 1, got {centres}")


def require_radians(margin: float) -> None:
    """Raise ValueError for a margin outside the range of `additive_angular`, 0 to pi/2."""
    if not 0 <= margin <= math.pi / 2:
        raise ValueError(f"margin={margin} is not between 0 and pi/2")


def _nearest(unit: Tensor, classes: Tensor, labels: Tensor, centres: int) -> Tensor:
    """Return, per row, the index in `classes` of the nearest centre of the row's own class, `(rows,)`."""
    import torch

    places = labels[:, None] * centres + torch.arange(centres, device=labels.device)
    with torch.no_grad():
        cosines = (classes[places] @ unit[:, :, None]).squeeze(2)
    return places.gather(1, cosines.argmax(dim=1, keepdim=True)).squeeze(1)


def _angle(unit: Tensor, own: Tensor) -> Angle:
    """Return the angle between rows of unit length.

    The sine is the length of the orthogonal component, because sqrt(1 - cos^2) has an infinite slope at 1
    and -1.
    """
    cosine = (unit * own).sum(dim=1)
    return Angle(cosine, (unit - cosine[:, None] * own).norm(dim=1))


def _sum_in_blocks(
    batch: LabelledRows, unit: Tensor, classes: Tensor, targets: Tensor, *, scale: float, centres: int
) -> Tensor:
    """Return the weighted sum over rows, and add its gradient to the `grad` of tensors that require one."""
    import torch

    total, step = unit.new_zeros(()), max(1, BLOCK // len(classes))
    for rows in (slice(start, start + step) for start in range(0, len(unit), step)):
        with torch.enable_grad():
            cosines = _cosines(unit[rows], classes, centres)
            logits = scale * cosines - targets[rows, None]  # relative to the logit at the label
            if batch.log_counts is not None:
                logits = logits + batch.log_counts.to(logits.dtype)
            losses = logits.scatter(1, batch.labels[rows, None], 0.0).logsumexp(dim=1)
            if batch.row_weights is not None:
                losses = losses * batch.row_weights[rows].to(losses.dtype)
            value = losses.sum()
        if value.requires_grad:
            value.backward()
        total += value.detach()
    return total


def _cosines(unit: Tensor, classes: Tensor, centres: int) -> Tensor:
    """Return the cosine of each row to the nearest centre of each class, `(rows, classes)`."""
    cosines = unit @ classes.T
    return cosines if centres == 1 else cosines.unflatten(1, (-1, centres)).max(dim=2).values
