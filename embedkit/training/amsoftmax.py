"""Training on labels: each text must be nearer, by a margin, to its label's vector than to any other
(AM-Softmax, arXiv 1801.05599; kexue.fm 5743); for texts with lists of labels, ZLPR (kexue.fm 7359).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.identity import Identity
from embedkit.data.text.labelled import Labelled, LabelledText
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.evaluation.labels.calibration import calibrate
from embedkit.training.advice import about_labels, about_plan, about_run, require_labels
from embedkit.training.gradcache import Features
from embedkit.training.input_digests import Source, source
from embedkit.training.labels.auto_margin import AutoMargin
from embedkit.training.labels.class_means import class_means, class_weights, first_offset
from embedkit.training.labels.objectives import Classified, Tagged, Targets
from embedkit.training.labels.split import Split, split
from embedkit.training.objective import Made
from embedkit.training.recipe import Recipe, Trained, load_model, settle_plan, train
from embedkit.training.run_log import Measure, Watch
from embedkit.training.scoring import LabelScore, encode
from embedkit.training.settings import AMSoftmaxSettings
from embedkit.training.simcse import views_of
from embedkit.training.trainer import Additions

_SAMPLE = 512  # texts that are tokenised to measure their length


@dataclass(frozen=True)
class AMSoftmaxRecipe(Recipe):
    """Texts and their labels, some of them held out; `scored` texts are ranked every `eval_steps` steps."""

    settings: AMSoftmaxSettings
    labelled: Labelled
    scored: Labelled | None = None  # None: the texts of held-out labels, if any
    command: ClassVar[str] = "train-amsoftmax"
    measure: ClassVar[Measure] = Measure("map", "MAP", "of the texts held out")

    @cached_property
    def parts(self) -> Split:
        """The texts by their use."""
        wanted = self.settings
        return split(
            self.labelled.rows,
            holdout=wanted.holdout_labels, calibrate=wanted.calibrate, seed=wanted.holdout_seed,
        )  # fmt: skip

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The class number of each label that is trained on."""
        return {name: number for number, name in enumerate(self.parts.names)}

    @property
    def tags(self) -> bool:
        """True when each label is judged independently."""
        return self.settings.loss == "zlpr" or (self.settings.loss is None and self.labelled.multiple)

    @property
    def loss(self) -> Any:
        """The loss, with margin 0 if the margin is computed later."""
        return self.settings.classification(multiple=self.labelled.multiple)

    def require(self, processes: int) -> None:
        """Raise DataError or UsageError for texts and labels that cannot be trained on."""
        require_labels(self.labelled, self.scored, self.settings, self.parts, processes, tags=self.tags)

    def sources(self) -> list[Source]:
        """Return the labelled texts, and the scored texts if there are any."""
        labelled = source("the labelled texts", self.settings.inputs, self.labelled.rows)
        if self.scored is None:
            return [labelled]
        return [labelled, source("the texts of `eval`", [self.settings.eval or ""], self.scored.rows)]

    def advise(self) -> None:
        """Warn about labels with a single text, and about texts with different labels."""
        about_labels(self.parts, self.scored, self.settings)

    def make(self, base: Path, *, resumed: bool) -> Made:
        """Return the objective, whose class vectors start as class means of the encoder's vectors."""
        settings = self.settings
        model, dropout, bf16 = load_model(base, settings)
        vectors = self._first_vectors(model, bf16=bf16, resumed=resumed)
        objective = self._tagged(model, vectors) if self.tags else self._classified(model, vectors)
        texts = [
            (row.text,) for row in self.parts.train[:: max(1, len(self.parts.train) // _SAMPLE)][:_SAMPLE]
        ]

        def sample() -> Features:
            features = views_of(objective, texts, settings.max_length)
            return {name: value[: len(texts)] for name, value in features.items()}

        planned = settle_plan(objective, settings, sample, len(texts), bf16=bf16)
        about_run(model, dropout, planned, bf16=bf16)
        about_plan(planned, settings)
        return Made(objective, bf16, replace(settings, **planned._asdict()))

    def _first_vectors(self, model: Any, *, bf16: bool, resumed: bool) -> torch.Tensor:
        """Return initial class vectors; zeros for a resumed run, whose checkpoint contains them."""
        centres = 1 if self.tags else int(self.loss.centres)
        if resumed:
            return torch.zeros(
                len(self.numbers) * centres, model.get_embedding_dimension(), device=model.device
            )
        rows = [(row.text, [self.numbers[name] for name in row.labels]) for row in self.parts.train]
        return class_means(
            lambda texts: encode(model, texts, chunk_tokens=2048, bf16=bf16),
            rows, len(self.numbers), centres=centres, seed=self.settings.seed,
        ).to(model.device)  # fmt: skip

    def _classified(self, model: Any, vectors: torch.Tensor) -> Classified:
        weights = class_weights(self._places) if self.settings.class_balance == "loss" else None
        return Classified(
            model, self.loss, vectors,
            max_classes=self.settings.max_classes,
            class_weights=None if weights is None else weights.to(model.device),
            margin_is_set=self.settings.margin != "auto",
            seed=self.settings.seed,
        )  # fmt: skip

    def _tagged(self, model: Any, vectors: torch.Tensor) -> Tagged:
        targets = Targets.of(
            [([self.numbers[name] for name in row.labels], row.weights) for row in self.parts.train]
        )
        offset = first_offset(vectors)
        return Tagged(model, vectors, targets, scale=self.settings.scale, offset=offset)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """The class number of each training text, `(rows,)`."""
        return np.array([self.numbers[row.labels[0]] for row in self.parts.train], dtype=np.int64)

    def dataset(self) -> Dataset:
        """Return the training texts; the label is the class number, or for lists the number of the text."""
        numbers = range(len(self.parts.train)) if self.tags else self._places.tolist()
        return Dataset.from_dict({"text": [row.text for row in self.parts.train], "label": list(numbers)})

    def batch(self, objective: Any, rows: int) -> tuple[list[Features], torch.Tensor]:
        """Return the first rows and their labels."""
        taken = self.dataset()[:rows]
        return [objective.model.preprocess(taken["text"])], torch.tensor(taken["label"])

    def evaluator(self, made: Made) -> LabelScore | None:
        """Return the evaluator of the scored texts, or of texts of held-out labels; None without either."""
        rows = self.parts.unseen if self.scored is None else self.scored.rows
        if not rows:
            return None
        return LabelScore(rows, chunk_tokens=made.objective.chunk_tokens, bf16=made.bf16)

    def additions(self, made: Made, watch: Watch) -> Additions:
        """Return the class vectors' learning rate, row weights, and the callback that sets the margin."""
        rate = self.settings.class_learning_rate
        rates = dict.fromkeys(made.objective.own(), rate)
        weights = None
        if self.settings.class_balance == "batches":
            weights = torch.as_tensor(1 / np.bincount(self._places)[self._places])
        if self.settings.margin != "auto":
            return Additions(rates, weights=weights)
        rows = list(zip([row.text for row in self.parts.train], self._places.tolist(), strict=True))
        auto = AutoMargin(made.objective, rows, self.settings.margin_after, bf16=made.bf16, watch=watch)
        return Additions(rates, callbacks=[auto], weights=weights)

    def found(self, objective: Any) -> dict[str, Any]:
        """Return the margin of the kept checkpoint, if it was computed."""
        if isinstance(objective, Classified) and self.settings.margin == "auto":
            return {"margin": 0.0 if objective.margin_is_open else round(float(objective.margin), 4)}
        return {}

    def write(self, folder: Path, identity: Identity, made: Made) -> None:
        """Write the label vectors, with scores calibrated on texts that were not trained on."""
        self.label_vectors(identity, made).save(folder)

    def label_vectors(self, identity: Identity, made: Made) -> LabelVectors:
        """Return the trained class vectors with their names."""
        objective: Any = made.objective
        vectors = torch.nn.functional.normalize(objective.class_vectors.detach(), dim=1)
        told = LabelVectors(
            names=tuple(self.parts.names),
            vectors=vectors.float().cpu().numpy(),
            centres=1 if self.tags else int(self.loss.centres),
            multiple=self.tags,
            scale=self.settings.scale,
            offset=float(objective.offset.detach()) if self.tags else 0.0,
            held_out=tuple(self.parts.held_out),
            loss=spec.render(objective.loss if self.tags else objective.current_loss()),
            fingerprint=identity.fingerprint,
        )
        if not self.parts.calibrate:
            return told

        def vectors_of(rows: Sequence[LabelledText]) -> Any:
            return encode(
                objective.model, [row.text for row in rows],
                chunk_tokens=objective.chunk_tokens, bf16=made.bf16,
            )  # fmt: skip

        unseen = vectors_of(self.parts.unseen) if self.parts.unseen else None
        known = vectors_of(self.parts.calibrate)
        return replace(told, calibration=calibrate(known, self._calibrating_labels(), unseen, told))

    def _calibrating_labels(self) -> NDArray[Any]:
        """Return class numbers `(rows,)`, or for lists weights `(rows, classes)`."""
        rows = [[self.numbers[name] for name in row.labels] for row in self.parts.calibrate]
        if not self.tags:
            return np.array([place for (place,) in rows], dtype=np.int64)
        weights = np.zeros((len(rows), len(self.numbers)), dtype=np.float32)
        for row, places, given in zip(weights, rows, self.parts.calibrate, strict=True):
            row[places] = given.weights
        return weights

    def facts(self) -> dict[str, str]:
        """Return the model card's rows about labels and loss."""
        held = f", {len(self.parts.held_out):,} labels held out" if self.parts.held_out else ""
        return {
            "trained on": f"{len(self.parts.train):,} texts of {len(self.numbers):,} labels{held}",
            "loss": spec.render(self.loss) + (", margin auto" if self.settings.margin == "auto" else ""),
        }

    def story(self) -> dict[str, Any]:
        """Return the numbers of texts and labels, and the held-out labels."""
        return {
            "examples": len(self.parts.train), "labels": len(self.numbers),
            "held_out": self.parts.held_out, "calibrated_on": len(self.parts.calibrate),
        }  # fmt: skip


def train_amsoftmax(
    path: str | Path,
    settings: AMSoftmaxSettings,
    labelled: Labelled,
    scored: Labelled | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Train `settings.model` on labelled texts and write a sentence-transformers folder with label vectors.

    `scored` texts (by default the texts of held-out labels) are ranked every `eval_steps` steps, each against
    the others, and the checkpoint with the best MAP is kept. `watch` is called at every step. Raises
    DataError or UsageError for data that cannot be trained on, before a model is loaded.
    """
    return train(path, AMSoftmaxRecipe(settings, labelled, scored), resume=resume, force=force, watch=watch)
