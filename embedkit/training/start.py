"""What a run starts from: a model, an objective around it, and the way to cut its batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from datasets import Dataset

from embedkit.training.batch_columns import stacked
from embedkit.training.chunking import ChunkPlan, plan, saved_bytes_per_token
from embedkit.training.gather import processes
from embedkit.training.gradcache import Features, cut
from embedkit.training.lora import add_lora
from embedkit.training.model import Dropout, bf16_is_fast, load_trainable
from embedkit.training.objective import Objective
from embedkit.training.run_settings import RunSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LABEL = "label"  # the column of training rows that contains no text
_SAMPLE = 512  # rows that are tokenised to measure their length


class LoadedModel(NamedTuple):
    """The model to start from, and how it computes."""

    model: SentenceTransformer
    dropout: Dropout
    bf16: bool
    folder: Path  # the run's


class Start(NamedTuple):
    """What a run starts from; training changes the model and the objective."""

    model: SentenceTransformer
    objective: Objective  # around the model
    bf16: bool
    settings: RunSettings  # complete: chunk sizes, number of passes


def load_model(base: Path, settings: RunSettings) -> LoadedModel:
    """Load the model to start from, with LoRA's matrices if it is trained by them."""
    torch.manual_seed(settings.seed)
    model, dropout = load_trainable(base, settings)
    if settings.lora is not None:
        add_lora(model, settings.lora)
    fast = settings.precision == "auto" and bf16_is_fast(model.device)
    return LoadedModel(model, dropout, settings.precision == "bf16" or fast, base.parent)


def chunk_plan(objective: Objective, rows: Dataset, settings: RunSettings, *, bf16: bool) -> ChunkPlan:
    """Return how to cut batches: as the settings say, or as the tokens of some rows and the memory allow."""
    if settings.chunk_tokens is not None and settings.passes is not None:
        return ChunkPlan(settings.chunk_tokens, settings.passes)
    step = max(1, len(rows) // _SAMPLE)
    sample = rows[: step * _SAMPLE : step]
    features = _features(objective, texts_of(sample), settings.max_length)
    device: torch.device = features["input_ids"].device

    def measured() -> int:
        """Return the bytes that a chunk of the sample keeps per token."""
        chunk = cut(features, 2048)[0]
        with torch.random.fork_rng(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return saved_bytes_per_token(objective.encode, chunk)

    return plan(
        device,
        batch_size=settings.batch_size // processes(),
        chunk_size=settings.chunk_size,
        tokens=float(features["attention_mask"].sum()) / len(next(iter(sample.values()))),
        bytes_per_token=measured,
    )


def texts_of(rows: dict[str, list[Any]]) -> list[list[str]]:
    """Return the columns of text among some training rows, one per view."""
    return [texts for name, texts in rows.items() if name != LABEL]


def _features(objective: Objective, columns: list[list[str]], max_length: int | None) -> Features:
    """Return the tokens of every view of some rows as one batch."""
    longest = {} if max_length is None else {"max_length": max_length}
    model: SentenceTransformer = objective.model
    features = stacked(objective.views([model.preprocess(texts, **longest) for texts in columns]))
    return {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in features.items()
    }
