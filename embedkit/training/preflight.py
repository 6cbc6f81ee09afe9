"""Checks before a run starts: unusable data is refused, and likely mistakes cause one warning each."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from embedkit.data.text.display import counted
from embedkit.data.text.examples import Examples
from embedkit.data.text.labelled import Labelled
from embedkit.data.text.scored_pairs import Pair
from embedkit.errors import DataError, UsageError
from embedkit.evaluation.sts import require_order
from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
from embedkit.training.chunking import ChunkPlan
from embedkit.training.gather import processes
from embedkit.training.labels.split import Split
from embedkit.training.model import Dropout
from embedkit.training.run_settings import RunSettings
from embedkit.training.simcse_settings import SimCSESettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger("embedkit")


def require_data(examples: Examples, pairs: Sequence[Pair], settings: SimCSESettings, processes: int) -> None:
    """Raise DataError or UsageError for data that cannot be trained on."""
    if len(examples) < 2:
        raise DataError("training needs at least 2 sentences, got 1")
    require_batch(len(examples), settings, processes)
    taught = settings.taught()
    if len(examples.columns) == 1 and taught is not None and taught.compares == "scores":
        raise UsageError(
            "teaches scores of hard negatives, which sentences do not have",
            where="`distill`",
            hint="teach sentences by `batch-kl` and a `teacher`",
        )
    if len(examples.columns) == 1 and settings.guide is not None and not settings.guide_margin:
        raise UsageError(
            "masks nothing among sentences, each of which is its own positive",
            where="`guide`",
            hint="set `guide_margin`, or train on pairs",
        )
    require_pairs(pairs, settings)


def require_pairs(pairs: Sequence[Pair], settings: RunSettings) -> None:
    """Raise DataError for scored pairs whose scores give no order."""
    if any(not math.isfinite(pair.score) for pair in pairs):
        raise DataError("a score is not a finite number", where=settings.eval)
    if pairs:
        require_order([pair.score for pair in pairs], where=settings.eval)


def require_batch(rows: int, settings: RunSettings, processes: int) -> None:
    """Raise UsageError for batches that the rows cannot fill, or that processes cannot share."""
    if rows < settings.batch_size:
        raise UsageError(
            f"exceeds the {rows} examples", where=f"`batch_size={settings.batch_size}`", hint="lower it"
        )
    if settings.batch_size % processes:
        raise UsageError(
            f"cannot be split evenly over {processes} processes", where=f"`batch_size={settings.batch_size}`"
        )


def require_labels(
    labelled: Labelled,
    scored: Labelled | None,
    settings: AMSoftmaxSettings,
    parts: Split,
    processes: int,
    *,
    tags: bool,
) -> None:
    """Raise DataError or UsageError for unusable labelled texts; `tags`: labels are judged independently."""
    if labelled.multiple and not tags:
        raise UsageError(
            "takes one label per text, but some texts have a list",
            where=f"`loss={settings.loss}`",
            hint="use `loss=zlpr` for lists",
        )
    if tags and settings.class_balance != "none":
        raise UsageError("does not apply to multi-label data", where="`class_balance`")
    if len(parts.names) < 2:
        what = f"all texts have the label {parts.names[0]!r}" if parts.names else "no text has a label"
        raise DataError(f"{what}: training needs at least 2 labels")
    require_batch(len(parts.train), settings, processes)
    most = max(Counter(name for row in parts.train for name in row.labels).values())
    if settings.margin == "auto" and most < 2:
        raise DataError(
            "no label has two texts to train on, so no diameter can be measured to set the margin",
            where="`margin=auto`",
            hint="set a number",
        )
    where, rows = settings.eval or "`holdout_labels`", parts.unseen if scored is None else scored.rows
    if rows and max(Counter(name for row in rows for name in row.labels).values(), default=0) < 2:
        raise DataError("no label has two texts, so none has a positive", where=where)


def about_labels(parts: Split, scored: Labelled | None, settings: AMSoftmaxSettings) -> None:
    """Warn about labels with one text, texts with different labels, and training text that is scored too."""
    counts = Counter(name for row in parts.train for name in row.labels)
    single = [name for name in parts.names if counts[name] == 1]
    if single:
        few = ", ".join(repr(name) for name in single[:3]) + (" ..." if len(single) > 3 else "")
        logger.warning(
            f"{len(single):,} of {len(parts.names):,} labels have a single text to train on ({few}): their "
            "vectors are that text's"
        )
    labels: dict[str, set[tuple[str, ...]]] = {}
    for row in parts.train:
        labels.setdefault(row.text, set()).add(row.labels)
    torn = [text for text, found in labels.items() if len(found) > 1]
    if torn:
        logger.warning(f"{len(torn):,} texts occur with different labels, such as {torn[0]!r}")
    seen = {row.text for row in scored.rows} & set(labels) if scored is not None else set()
    if seen:
        logger.warning(
            f"{len(seen):,} texts of {settings.eval} are also in the training text: they will "
            "flatter the model"
        )


def require_dims(settings: SimCSESettings, dimension: int) -> None:
    """Raise UsageError for `dims` beyond the model's dimension; warn if none reaches it."""
    largest = max(settings.dims or (dimension,))
    if largest > dimension:
        raise UsageError(f"exceeds the model's {dimension} dimensions", where=f"`dims={largest}`")
    if largest < dimension:
        logger.warning(
            f"the loss reads {largest} of the model's {dimension} dimensions, and the others are not "
            f"trained; add {dimension} to `dims`"
        )


def about_data(
    examples: Examples, held_out: Collection[str], settings: RunSettings, *, left_out: int = 0
) -> None:
    """Warn about repeated sentences, about `left_out` examples that fit into no batch, and about texts of the
    evaluation, `held_out`, in the training text.
    """
    if left_out:
        logger.warning(
            f"{left_out:,} of {len(examples):,} examples are left out of the first epoch, because they share "
            "texts with too many others; another epoch leaves out others"
        )
    anchors = [row[0] for row in examples.rows]
    repeated = len(anchors) - len(set(anchors))
    if repeated:
        logger.warning(
            f"{repeated:,} of {len(anchors):,} examples repeat an earlier one; equal texts of a batch "
            "are not used as negatives of each other"
        )
    held_out = set(held_out)
    seen = len(held_out & set(examples.texts()))
    if seen:
        logger.warning(
            f"{seen:,} of {len(held_out):,} texts of {settings.eval} are also in the training text: "
            "they will flatter the model"
        )


def about_run(model: SentenceTransformer, dropout: Dropout, plan: ChunkPlan, *, bf16: bool) -> None:
    """Log the device, precision, passes and dropout of the run."""
    passes = (
        "in one pass" if plan.passes == 1 else f"in two passes over chunks of {plan.chunk_tokens:,} tokens"
    )
    precision = "bf16" if bf16 else "fp32"
    logger.info(f"training on {model.device} in {precision}, {passes}; dropout: {dropout}")


def about_resumed(before: int) -> None:
    """Warn when a run resumes in another number of processes than the `before` that wrote its checkpoint."""
    if before != processes():
        logger.warning(
            f"the run began in {before} processes and continues in {processes()}: batches are the same, "
            "dropout is drawn anew"
        )


def about_dropout(dropout: Dropout, examples: Examples) -> None:
    """Warn when the two views of a sentence would be equal."""
    if len(examples.columns) == 1 and dropout.is_off:
        logger.warning(
            "dropout is 0: both views of a sentence are equal, and nothing is learnt; set `dropout=0.1`"
        )


def about_warmup(warmup: int, steps: int) -> None:
    """Warn about a warm-up that is too long for the learning rate to reach its peak."""
    if warmup >= steps:
        whole = "is the whole run" if warmup == steps else f"of {warmup:,} steps is longer than the run"
        logger.warning(
            f"the warm-up {whole} of {counted(steps, 'step')}: the first step has a learning rate of 0 and "
            "the peak is never reached; train for more steps, or set `warmup=0`"
        )


def about_plan(plan: ChunkPlan, settings: RunSettings) -> None:
    """Warn about a second pass that saves no memory."""
    size = settings.chunk_size
    if size is not None and plan.passes == 2 and settings.batch_size < 2 * size:
        logger.warning(
            f"a batch of {settings.batch_size} is less than two chunks of {size}: the second pass saves "
            "little memory and costs a third of the time; `chunk_size=auto` avoids it"
        )
