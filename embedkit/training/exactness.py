"""The proof on the user's own model: the accumulated gradient against that of the full batch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from embedkit.data.examples import Examples
from embedkit.training.advice import require_data
from embedkit.training.gradcache import Features
from embedkit.training.model import make_base
from embedkit.training.objective import Contrastive
from embedkit.training.settings import SimCSESettings
from embedkit.training.simcse import make_objective
from embedkit.training.trainer import quiet_trainer


def check_exact(settings: SimCSESettings, examples: Examples) -> float:
    """Return how far the accumulated gradient of the first batch is from that of the full batch, relative, in
    float32 and with the same dropout, on the user's own model.
    """
    quiet_trainer()
    require_data(examples, (), settings, 1)
    with tempfile.TemporaryDirectory() as folder:
        make_base(settings, Path(folder) / "base")
        objective, _, _ = make_objective(Path(folder) / "base", settings, examples)
        rows = examples.rows[: settings.batch_size]
        columns = [list(column) for column in zip(*rows, strict=True)]
        model: Any = objective.model
        features = [model.preprocess(column) for column in columns]
        objective.chunk_tokens = min(objective.chunk_tokens, _half_of_batch(features))
        full, accumulated = (_gradient(objective, features, passes, settings.seed) for passes in (1, 2))
    return float((full - accumulated).norm() / full.norm())


def _half_of_batch(features: Sequence[Features]) -> int:
    """Return a number of tokens that cuts the batch into two chunks at least."""
    return max(1, int(sum(feature["attention_mask"].sum() for feature in features)) // 2)


def _gradient(objective: Contrastive, features: Sequence[Features], passes: int, seed: int) -> torch.Tensor:
    objective.zero_grad()
    objective.passes = passes
    torch.manual_seed(seed)
    objective(features).backward()
    return torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])
