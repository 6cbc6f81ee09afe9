"""Adam with step sizes that are learnt by exponentiated gradients: one scale for all weights, and one gain
per weight (Amid et al. 2022, arXiv 2202.00145; kexue.fm 8968).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_CLIP = 4.0  # bound of a coordinate's product, in units of root mean squares


class ExponentiatedAdam(torch.optim.Optimizer):  # type: ignore[misc]
    """w -= lr * s * p * u, where u is Adam's direction; weight decay is decoupled.

    The loss falls along the last step if the gradient g and the last direction d = p * u agree, so steps then
    grow: s *= exp(rates[0] * cos(g, d)) over all weights of a group, and p *= exp(rates[1] * r), where r is
    the product of a weight's g and d, each divided by its root mean square in the tensor, clipped to 4. Both
    begin at 1 and stay between 1 / `limit` and `limit`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        rates: tuple[float, float] = (1e-2, 1e-3),
        limit: float = 10.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "rates": rates}
        super().__init__(params, {**defaults, "limit": limit, "scale": 1.0})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step along the gradients."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            group["scale"] = self._scale(weights, group)
            for weight in weights:
                self._update(weight, weight.grad, group)
        return value

    def _scale(self, weights: list[Tensor], group: dict[str, Any]) -> float:
        """Return the scale of all steps after these gradients."""
        pairs = [(weight.grad, self.state[weight]["last"]) for weight in weights if self.state[weight]]
        if not pairs:
            return float(group["scale"])
        product, of_gradients, of_steps = (
            float(sum((one * other).sum(dtype=torch.float64) for one, other in chosen))
            for chosen in (pairs, [(g, g) for g, _ in pairs], [(d, d) for _, d in pairs])
        )
        cosine = product / max(math.sqrt(of_gradients * of_steps), 1e-300)
        grown = float(group["scale"] * math.exp(group["rates"][0] * cosine))
        limit = float(group["limit"])
        return min(max(grown, 1 / limit), limit)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["last"], state["gain"] = torch.zeros_like(weight), torch.ones_like(weight)
        state["step"] += 1
        step, (first, second) = int(state["step"]), group["betas"]
        agreement = _unit(gradient).mul_(_unit(state["last"])).clamp_(-_CLIP, _CLIP)
        state["gain"].mul_(torch.exp_(agreement.mul_(group["rates"][1])))
        state["gain"].clamp_(1 / group["limit"], group["limit"])
        state["mean"].mul_(first).add_(gradient, alpha=1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (state["square"] / (1 - second**step)).sqrt_().add_(group["eps"])
        torch.div(state["mean"] / (1 - first**step), root, out=state["last"])
        state["last"].mul_(state["gain"])
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(state["last"], alpha=-group["lr"] * group["scale"])


def _unit(tensor: Tensor) -> Tensor:
    """Return a tensor divided by the root of its mean square; zeros stay zeros."""
    return tensor / tensor.square().mean().sqrt().clamp(min=torch.finfo(tensor.dtype).tiny)
