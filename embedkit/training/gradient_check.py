"""A check on the user's own model: the accumulated gradient against the gradient of the full batch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from datasets import Dataset

from embedkit.training.chunking import ChunkPlan
from embedkit.training.gradcache import Features
from embedkit.training.objective import Objective
from embedkit.training.recipe import Recipe
from embedkit.training.run import start_of
from embedkit.training.start import LABEL, Start, texts_of
from embedkit.training.trainer import quiet_trainer


class Batch(NamedTuple):
    """A batch in the form that an objective takes."""

    features: list[Features]  # one per column of text
    labels: torch.Tensor | None


def check_exact(recipe: Recipe) -> float:
    """Return the relative distance between the accumulated gradient of the first batch and the full batch's,
    in float32 and with the same dropout, on the user's own model.
    """
    quiet_trainer()
    recipe.check(1)
    settings, rows = recipe.settings, recipe.rows()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        recipe.base.make(base)
        recipe.prepare(Path(folder))
        start = start_of(recipe, rows, base, resumed=False)
        batch = _first_batch(start, rows)
        tokens = min(start.objective.plan.chunk_tokens, _half_of_tokens(batch))
        full, accumulated = (
            _gradient(start.objective, batch, ChunkPlan(tokens, passes), settings.seed) for passes in (1, 2)
        )
    return float((full - accumulated).norm() / full.norm())


def _first_batch(start: Start, rows: Dataset) -> Batch:
    taken = rows[: start.settings.batch_size]
    features = [start.model.preprocess(texts) for texts in texts_of(taken)]
    return Batch(features, torch.tensor(taken[LABEL]) if LABEL in taken else None)


def _half_of_tokens(batch: Batch) -> int:
    """Return a number of tokens that cuts the batch into at least two chunks."""
    return max(1, int(sum(feature["attention_mask"].sum() for feature in batch.features)) // 2)


def _gradient(objective: Objective, batch: Batch, plan: ChunkPlan, seed: int) -> torch.Tensor:
    objective.zero_grad()
    objective.cut_by(plan)
    torch.manual_seed(seed)
    before = {name: value.clone() for name, value in objective.named_buffers()}  # such as counts of batches
    objective(batch.features, batch.labels).backward()
    for name, value in objective.named_buffers():
        value.copy_(before[name])
    return torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])
