"""What processes share beside the gradients of the model, and what each has for itself."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from embedkit.training.gather import processes
from embedkit.training.objective import Objective


class AverageOwn(TrainerCallback):  # type: ignore[misc]
    """Keeps what the loss learns equal in all processes: DistributedDataParallel sees to the model alone."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        objective.averaged = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin with that of the first process."""
        for parameter in self.objective.own().values():
            if processes() > 1:
                torch.distributed.broadcast(parameter.data, src=0)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Average the gradients before the step."""
        for parameter in self.objective.own().values():
            if processes() > 1 and parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= processes()


class OwnDropout(TrainerCallback):  # type: ignore[misc]
    """Lets each process draw its own dropout: from one seed, rows in the same place would share their mask.

    The first process draws what one alone would; a resumed run goes on with what its checkpoint holds.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seed the processes behind the first one."""
        rank = torch.distributed.get_rank() if processes() > 1 else 0
        if rank:
            torch.manual_seed((args.seed << 20) + rank)
