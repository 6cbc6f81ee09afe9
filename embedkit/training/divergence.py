"""Detection of values that are not finite: a run stops at the first such step, before saving anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embedkit.errors import DivergedError, ModelError
from embedkit.training.checkpoints import last_checkpoint
from embedkit.training.distributed import one_fate
from embedkit.training.gather import processes


class Watchdog(TrainerCallback):  # type: ignore[misc]
    """Stops a run at the first step whose loss, gradient norm or weights are not finite.

    With a gradient scaler (fp16), a step whose gradient overflows is skipped and the scale is reduced for the
    next. This counts as divergence only when the scale falls below 1.
    """

    def __init__(self, objective: nn.Module, folder: Path) -> None:
        self.objective, self.folder = objective, folder  # folder of the unfinished run
        self._figures: dict[str, float] = {}

    def note(self, **figures: float | Tensor) -> None:
        """Keep the values of the current step that are not finite."""
        for name, value in figures.items():
            if not math.isfinite(value):
                self._figures.setdefault(name.replace("_", " "), float(value))

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **kwargs: object,
    ) -> None:
        """Stop all processes when one of them has a value that is not finite.

        A single process raises DivergedError; of several, each raises StoppedError with its message.
        """
        figures, self._figures = self._figures, {}
        scaler = getattr(optimizer, "scaler", None)
        if scaler is not None:
            figures = {"scale of the loss": scaler.get_scale()} if scaler.get_scale() < 1 else {}
        fault = _fault(figures, self.objective)
        if _anywhere(fault is not None, next(self.objective.parameters()).device):
            with one_fate():
                if fault is not None:
                    raise self.diverged(state.global_step + 1, fault)

    def diverged(self, step: int, fault: str) -> DivergedError:
        """Return the error for a step, with the last good checkpoint."""
        kept = last_checkpoint(self.folder)
        good = f"the last good checkpoint is {kept}" if kept is not None else "there is no checkpoint yet"
        return DivergedError(
            f"training diverged at step {step:,}: {fault}; {good}",
            where=str(self.folder),
            hint="start again with `force=True` and a lower `learning_rate`",
        )


def _fault(figures: Mapping[str, float], objective: nn.Module) -> str | None:
    if figures:
        what, value = next(iter(figures.items()))
        return f"the {what} is {value:g}"
    learnt = ((name, value) for name, value in objective.named_parameters() if value.requires_grad)
    name = not_finite(learnt)
    return None if name is None else f"the length of the weights {name} is not finite"


def _anywhere(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set in any process."""
    if processes() == 1:
        return flag
    up = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(up)
    return bool(up)


def not_finite(parameters: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first parameter whose length is not finite in float32, or None.

    Such a parameter holds a number that is not finite, or numbers whose squares overflow: a vector of that
    length cannot be normalised.
    """
    named = [
        (name, value.detach()) for name, value in parameters if value.is_floating_point() and value.numel()
    ]
    if not named:
        return None
    lengths = torch.stack([torch.linalg.vector_norm(value.float()) for _, value in named])
    finite = lengths.isfinite().tolist()  # one transfer from the device for all of them
    return next((name for (name, _), length in zip(named, finite, strict=True) if not length), None)


def require_finite(model: nn.Module, where: str) -> None:
    """Raise ModelError for a model whose weights are not finite."""
    if (name := not_finite(model.named_parameters())) is not None:
        raise ModelError(f"the length of the weights {name} is not finite", where=where)
