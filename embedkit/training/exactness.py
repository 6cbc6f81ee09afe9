"""A check on the user's own model: the accumulated gradient against the gradient of the full batch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from embedkit.training.gradcache import Features
from embedkit.training.model import make_base
from embedkit.training.objective import Objective
from embedkit.training.recipe import Recipe
from embedkit.training.trainer import quiet_trainer


def check_exact(recipe: Recipe) -> float:
    """Return the relative distance between the accumulated gradient of the first batch and the full batch's,
    in float32 and with the same dropout, on the user's own model.
    """
    quiet_trainer()
    recipe.require(1)
    with tempfile.TemporaryDirectory() as folder:
        make_base(recipe.settings, Path(folder) / "base")
        objective = recipe.make(Path(folder) / "base", resumed=False).objective
        batch = recipe.batch(objective, recipe.settings.batch_size)
        objective.chunk_tokens = min(objective.chunk_tokens, _half_of_batch(batch[0]))
        full, accumulated = (_gradient(objective, *batch, passes, recipe.settings.seed) for passes in (1, 2))
    return float((full - accumulated).norm() / full.norm())


def _half_of_batch(features: Sequence[Features]) -> int:
    """Return a number of tokens that cuts the batch into at least two chunks."""
    return max(1, int(sum(feature["attention_mask"].sum() for feature in features)) // 2)


def _gradient(
    objective: Objective, features: Sequence[Features], labels: torch.Tensor | None, passes: int, seed: int
) -> torch.Tensor:
    objective.zero_grad()
    objective.passes = passes
    torch.manual_seed(seed)
    objective(features, labels).backward()
    return torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])
