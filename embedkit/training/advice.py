"""What a run is told before it starts: data that cannot train is refused, and traps are named once."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from embedkit.data.examples import Examples
from embedkit.data.pairs import Pair
from embedkit.errors import DataError, UsageError
from embedkit.training.memory import Plan
from embedkit.training.model import Dropout
from embedkit.training.settings import RunSettings

logger = logging.getLogger("embedkit")


def require_data(examples: Examples, pairs: Sequence[Pair], settings: RunSettings, processes: int) -> None:
    """Raise DataError or UsageError for data that cannot train."""
    if len(examples) < 2:
        raise DataError("one sentence is nothing to compare: training wants 2 or more")
    if len(examples) < settings.batch_size:
        raise UsageError(
            f"a batch of {settings.batch_size} wants more than the {len(examples)} examples there are",
            where="--batch-size",
        )
    if settings.batch_size % processes:
        raise UsageError(
            f"{settings.batch_size} cannot be split over {processes} processes", where="--batch-size"
        )
    if any(not math.isfinite(pair.score) for pair in pairs):
        raise DataError("a score is not a finite number", where=settings.eval)
    if pairs and len({pair.score for pair in pairs}) < 2:
        raise DataError("all pairs have the same score, so none is better", where=settings.eval)


def about_data(examples: Examples, pairs: Sequence[Pair], settings: RunSettings) -> None:
    """Warn of repeated sentences, and of evaluation text among the training text."""
    anchors = [row[0] for row in examples.rows]
    repeated = len(anchors) - len(set(anchors))
    if repeated:
        logger.warning(
            f"{repeated:,} of {len(anchors):,} examples repeat an earlier one; equal texts of a batch "
            "are not taken for negatives of each other"
        )
    held_out = {text for pair in pairs for text in pair[:2]}
    seen = len(held_out & set(examples.texts()))
    if seen:
        logger.warning(
            f"{seen:,} of {len(held_out):,} texts of {settings.eval} are in the training text too: "
            "its figures will flatter the model"
        )


def about_run(model: Any, dropout: Dropout, plan: Plan, *, bf16: bool) -> None:
    """Note what the run was settled to."""
    passes = (
        "in one pass" if plan.passes == 1 else f"in two passes over chunks of {plan.chunk_tokens:,} tokens"
    )
    precision = "bf16" if bf16 else "fp32"
    logger.info(f"training on {model.device} in {precision}, {passes}; dropout: {dropout}")


def about_dropout(dropout: Dropout, examples: Examples) -> None:
    """Warn when the two views of a sentence would be equal."""
    if len(examples.columns) == 1 and dropout.is_off:
        logger.warning(
            "dropout is 0: both views of a sentence are equal, nothing is learnt; --dropout 0.1 sets it"
        )


def about_plan(plan: Plan, settings: RunSettings) -> None:
    """Warn of a second pass that saves no memory."""
    size = settings.chunk_size
    if size is not None and plan.passes == 2 and settings.batch_size < 2 * size:
        logger.warning(
            f"a batch of {settings.batch_size} is less than two chunks of {size}: the second pass saves "
            "little memory and costs a third of the time; --chunk-size auto decides by itself"
        )
