"""Losses made of other losses of views: a weighted sum, and the same loss of the first dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedkit.losses.registry import Compared, accepted

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WeightedSum:
    """The sum of losses of the same views, each times its weight; each is given the arguments it takes."""

    losses: tuple[Any, ...]
    weights: tuple[float, ...]

    @property
    def compares(self) -> Compared:
        """Views if any of the losses compares them, or else what the first compares."""
        found: list[Compared] = [loss.compares for loss in self.losses]
        return "views" if "views" in found else found[0]

    def __call__(
        self, views: Sequence[Tensor], texts: Sequence[Tensor] | None, rows: slice, **known: Any
    ) -> Tensor:
        """Return the weighted sum of the mean losses of the sentences in `rows`."""
        parts = [
            weight * loss(views, texts, rows, **accepted(loss, known))
            for loss, weight in zip(self.losses, self.weights, strict=True)
        ]
        total: Tensor = sum(parts[1:], start=parts[0])
        return total


@dataclass(frozen=True)
class Nested:
    """Matryoshka: the weighted sum of a loss of the first `dims` of each view, so that vectors can be
    truncated to any of them (Kusupati et al. 2022, arXiv 2205.13147, equation 1).
    """

    loss: Any
    dims: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def compares(self) -> Compared:
        """What the loss compares."""
        found: Compared = self.loss.compares
        return found

    def __call__(
        self, views: Sequence[Tensor], texts: Sequence[Tensor] | None, rows: slice, **known: Any
    ) -> Tensor:
        """Return the weighted sum, over dimensions, of the mean loss of the sentences in `rows`."""
        known = accepted(self.loss, known)
        parts = [
            weight * self.loss([view[:, :dim] for view in views], texts, rows, **known)
            for dim, weight in zip(self.dims, self.weights, strict=True)
        ]
        total: Tensor = sum(parts[1:], start=parts[0])
        return total
