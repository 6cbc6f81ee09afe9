"""What a run is judged by while it trains: the perplexity of masked tokens of held-out texts, and Spearman's
correlation on scored pairs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embedkit.errors import DataError
from embedkit.training.gradcache import cut
from embedkit.training.pretraining.corpus import Row
from embedkit.training.pretraining.masked_language import HELD_OUT, TARGETS, MaskedLanguage
from embedkit.training.pretraining.masking import NO_TARGET
from embedkit.training.scoring import PairScore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PERPLEXITY, SPEARMAN = "perplexity", "spearman"
_WINDOW = 512  # rows that are tokenised together

logger = logging.getLogger("embedkit")


class HeldOutScore(SentenceEvaluator):  # type: ignore[misc]
    """The perplexity of the masked tokens of rows, whose masks never change, and the score of pairs."""

    def __init__(
        self,
        objective: MaskedLanguage,
        rows: Sequence[Row],
        pairs: PairScore | None,
        *,
        max_length: int | None,
        bf16: bool,
    ) -> None:
        super().__init__()
        self.objective, self.rows, self.pairs = objective, list(rows), pairs
        self.max_length, self.bf16 = max_length, bf16

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the values by name; raises DataError for a loss that is not finite."""
        values = {PERPLEXITY: self.perplexity(model)}
        if self.pairs is not None:
            values[SPEARMAN] = self.pairs(model)[SPEARMAN]
        return values

    def perplexity(self, model: SentenceTransformer) -> float:
        """Return the exponential of the mean loss of the masked tokens, or 1 if no token is masked."""
        was_training, total, count = model.training, 0.0, 0
        model.eval()
        with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16):
            for start in range(0, len(self.rows), _WINDOW):
                features = self._features(model, start)
                count += int((features[TARGETS] != NO_TARGET).sum())
                for chunk in cut(features, self.objective.plan.chunk_tokens):
                    total += float(self.objective.losses(model, chunk.features).double().sum())
        model.train(was_training)
        if not math.isfinite(total):
            raise DataError("the loss of the held-out texts is not finite")
        return math.exp(min(total / max(count, 1), 700.0))  # exp of more is infinite

    def _features(self, model: SentenceTransformer, start: int) -> Any:
        window = self.rows[start : start + _WINDOW]
        longest = {} if self.max_length is None else {"max_length": self.max_length}
        columns = [model.preprocess(list(texts), **longest) for texts in zip(*window, strict=True)]
        numbers = torch.arange(start, start + len(window))
        features = self.objective.hidden(columns, numbers, HELD_OUT)
        return {
            name: value.to(model.device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }


class Outcome(TrainerCallback):  # type: ignore[misc]
    """Gives an objective the values before the run and of the kept checkpoint, and warns of a correlation
    that fell.
    """

    def __init__(self, objective: MaskedLanguage, pairs: str | None, *, continued: bool) -> None:
        self.objective, self.pairs, self.continued = objective, pairs, continued

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Read the values of the first evaluation and of the kept one from the log."""
        name = f"eval_{SPEARMAN}"
        lines = [line for line in state.log_history if name in line]
        if not lines:
            return
        before, after = lines[0], [line for line in lines if line["step"] == state.best_global_step][-1]
        self.objective.outcome |= {"Spearman before": before[name], "Spearman after": after[name]}
        if self.continued and after[name] < before[name] and state.is_world_process_zero:
            logger.warning(
                f"Spearman on {self.pairs} fell from {100 * before[name]:.2f} to {100 * after[name]:.2f}: "
                "the model forgets; lower `learning_rate` or `max_steps`, or train it with train-simcse"
            )
