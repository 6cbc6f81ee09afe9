"""AdaX: Adam with a growing memory, to limit late gradients' weight (arXiv 2004.09740; kexue.fm 7387)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class AdaX(torch.optim.Optimizer):  # type: ignore[misc]
    """m = b1 m + (1-b1) g; v = (1+b2) v + b2 g^2; step m / (sqrt(v / ((1+b2)^t - 1)) + eps).

    The state is vhat = v / ((1+b2)^t - 1), a moving average in which the newest square has weight b2 /
    ((1+b2)^t - 1): an equal value that cannot overflow. Weight decay is decoupled, as in AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 1e-4),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step along the gradients."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return value

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)  # vhat
        state["step"] += 1
        first, second = group["betas"]
        weight = second_weight(int(state["step"]), second)
        state["mean"].mul_(first).add_(gradient, alpha=1 - first)
        state["square"].mul_(1 - weight).addcmul_(gradient, gradient, value=weight)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(state["mean"], state["square"].sqrt().add_(group["eps"]), value=-group["lr"])


def second_weight(step: int, second: float) -> float:
    """Return the weight of the newest square at step t: b2 / ((1+b2)^t - 1), 1 at the first."""
    growth = step * math.log1p(second)
    return second * math.exp(-growth) / -math.expm1(-growth)
