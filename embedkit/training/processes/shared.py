"""State that processes share in addition to the model's gradients, and state that each has for itself."""

from __future__ import annotations

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embedkit.training.gather import processes
from embedkit.training.objective import Objective


class AverageOwn(TrainerCallback):  # type: ignore[misc]
    """Keeps the loss's parameters equal in all processes; DistributedDataParallel covers only the model."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Copy the parameters of the first process."""
        self.objective.share_own()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Average the gradients before the step."""
        self.objective.average_own()


class OwnDropout(TrainerCallback):  # type: ignore[misc]
    """Makes each process draw its own dropout: with one seed, rows at the same position would share their
    mask.

    The first process draws the numbers of a run in one process. A resumed run takes its checkpoint's state.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Seed all processes but the first."""
        rank = torch.distributed.get_rank() if processes() > 1 else 0
        if rank:
            torch.manual_seed((args.seed << 20) + rank)
