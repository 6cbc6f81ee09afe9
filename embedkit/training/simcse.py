"""SimCSE: training on sentences, pairs or triplets, so that sentences become easier to distinguish (Gao, Yao
and Chen 2021, arXiv 2104.08821; kexue.fm 8348).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Dataset

from embedkit.data.text.examples import Examples
from embedkit.data.text.pairs import Pair
from embedkit.training.advice import about_data, about_dropout, about_plan, about_run, require_data
from embedkit.training.gradcache import Features
from embedkit.training.input_digests import Source, source
from embedkit.training.model import Head
from embedkit.training.objective import Contrastive, Made, stacked
from embedkit.training.recipe import Recipe, Trained, load_model, settle_plan, train
from embedkit.training.run_log import Measure, Watch
from embedkit.training.scoring import PairScore
from embedkit.training.settings import SimCSESettings

_SAMPLE = 512  # examples that are tokenised to measure their length


@dataclass(frozen=True)
class SimCSE(Recipe):
    """One column of examples contains sentences, each its own positive by dropout; several columns are
    anchor, positive and hard negatives. `pairs` are scored every `eval_steps` steps.
    """

    settings: SimCSESettings
    examples: Examples
    pairs: Sequence[Pair] = ()
    command: ClassVar[str] = "train-simcse"
    measure: ClassVar[Measure] = Measure("spearman", "Spearman", "on the labelled pairs")

    def require(self, processes: int) -> None:
        """Raise DataError or UsageError for examples or pairs that cannot be trained on."""
        require_data(self.examples, self.pairs, self.settings, processes)

    def sources(self) -> list[Source]:
        """Return the examples, and the pairs if there are any."""
        examples = source("the training examples", self.settings.inputs, self.examples.rows)
        if not self.pairs:
            return [examples]
        return [examples, source("the pairs of `eval`", [self.settings.eval or ""], self.pairs)]

    def advise(self) -> None:
        """Warn about repeated sentences, and about evaluation text in the training text."""
        about_data(self.examples, self.pairs, self.settings)

    def make(self, base: Path, *, resumed: bool) -> Made:
        """Return the contrastive objective."""
        settings = self.settings
        model, dropout, bf16 = load_model(base, settings)
        head = Head(model.get_embedding_dimension()).to(model.device) if settings.head else None
        objective = Contrastive(model, settings.contrast(), head=head)
        rows = self.examples.rows[:: max(1, len(self.examples) // _SAMPLE)][:_SAMPLE]

        def sample() -> Features:
            return views_of(objective, self._filled(rows), settings.max_length)

        planned = settle_plan(objective, settings, sample, len(rows), bf16=bf16)
        about_run(model, dropout, planned, bf16=bf16)
        about_dropout(dropout, self.examples)
        about_plan(planned, settings)
        return Made(objective, bf16, replace(settings, **planned._asdict()))

    def dataset(self) -> Dataset:
        """Return the examples, one column per view.

        If rows differ in their number of hard negatives, that number is the label.
        """
        columns = zip(*self._filled(self.examples.rows), strict=True)
        views = {f"view{place}": list(column) for place, column in enumerate(columns)}
        counts = self._counts(self.examples.rows)
        return Dataset.from_dict(views if counts is None else {**views, "label": counts})

    def batch(self, objective: Any, rows: int) -> tuple[list[Features], torch.Tensor | None]:
        """Return the first rows' features, one batch per column, and their numbers of hard negatives."""
        taken = self.examples.rows[:rows]
        columns, counts = zip(*self._filled(taken), strict=True), self._counts(taken)
        features = [objective.model.preprocess(list(column)) for column in columns]
        return features, None if counts is None else torch.tensor(counts)

    @cached_property
    def _width(self) -> int:
        """The largest number of views in a row."""
        return max(map(len, self.examples.rows))

    def _filled(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Return rows of equal length: a row's shortest text replaces missing hard negatives."""
        return [row + (min(row, key=len),) * (self._width - len(row)) for row in rows]

    def _counts(self, rows: Sequence[tuple[str, ...]]) -> list[int] | None:
        """Return the number of hard negatives per row; None when it is equal in all rows of all examples."""
        ragged = any(len(row) < self._width for row in self.examples.rows)
        return [len(row) - 2 for row in rows] if ragged else None

    def evaluator(self, made: Made) -> PairScore | None:
        """Return the evaluator of the pairs, or None without pairs."""
        return (
            PairScore(self.pairs, chunk_tokens=made.objective.chunk_tokens, bf16=made.bf16)
            if self.pairs
            else None
        )

    def facts(self) -> dict[str, str]:
        """Return the model card's rows about examples and loss."""
        return {
            "trained on": f"{len(self.examples):,} examples of {' + '.join(self.examples.columns)}",
            "loss": f"{self.settings.loss}, temperature {self.settings.temperature:g}",
        }

    def story(self) -> dict[str, Any]:
        """Return the number of examples, and their columns."""
        return {"examples": len(self.examples), "columns": list(self.examples.columns)}


def train_simcse(
    path: str | Path,
    settings: SimCSESettings,
    examples: Examples,
    pairs: Sequence[Pair] = (),
    *,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Train `settings.model` on examples and write a sentence-transformers folder to `path`.

    One column of examples contains sentences, each its own positive by dropout; several columns are anchor,
    positive and hard negatives. `pairs` are scored every `eval_steps` steps and the best checkpoint is kept.
    `watch` is called at every step. Raises DataError or UsageError for data that cannot be trained on, before
    a model is loaded.
    """
    return train(path, SimCSE(settings, examples, pairs), resume=resume, force=force, watch=watch)


def views_of(objective: Contrastive, rows: Sequence[Sequence[str]], max_length: int | None) -> Features:
    """Return the tokens of every view of some rows as one batch."""
    columns = list(zip(*rows, strict=True))
    longest = {} if max_length is None else {"max_length": max_length}
    model: Any = objective.model
    features = [model.preprocess(list(column), **longest) for column in columns]
    together = stacked(features * 2 if len(features) == 1 else features)
    return {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in together.items()
    }
