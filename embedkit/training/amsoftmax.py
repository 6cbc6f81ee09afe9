"""Training on labels: each text must be nearer, by a margin, to its label's vector than to any other
(AM-Softmax, arXiv 1801.05599; kexue.fm 5743); for texts with lists of labels, ZLPR (kexue.fm 7359).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.identity import Identity
from embedkit.data.text.display import counted
from embedkit.data.text.labelled import Labelled
from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
from embedkit.training.base import CopiedModel
from embedkit.training.input_digests import Source, source
from embedkit.training.labels.auto_margin import AutoMargin
from embedkit.training.labels.class_means import class_means, class_weights, first_offset
from embedkit.training.labels.objectives import Classified, Tagged, Targets
from embedkit.training.labels.split import Split, split
from embedkit.training.labels.trained_labels import trained_labels
from embedkit.training.preflight import about_labels, require_labels
from embedkit.training.recipe import Provenance
from embedkit.training.run import train
from embedkit.training.run_log import Measure, Watch
from embedkit.training.scoring import LabelScore, encode
from embedkit.training.start import LABEL, LoadedModel, Start
from embedkit.training.trained import Trained
from embedkit.training.trainer import Additions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class AMSoftmaxRecipe:
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

    @property
    def tags(self) -> bool:
        """True when each label is judged independently."""
        return self.settings.loss == "zlpr" or (self.settings.loss is None and self.labelled.multiple)

    @property
    def loss(self) -> Any:
        """The loss, with margin 0 if the margin is computed later."""
        return self.settings.classification(multiple=self.labelled.multiple)

    @property
    def base(self) -> CopiedModel:
        """A copy of the model that the settings name."""
        return CopiedModel(self.settings)

    def check(self, processes: int) -> None:
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

    def prepare(self, folder: Path) -> None:
        """Write nothing: the texts and their labels are all that the objective reads."""

    def rows(self) -> Dataset:
        """Return the training texts; the label is the class number, or for lists the number of the text."""
        numbers = range(len(self.parts.train)) if self.tags else self._places.tolist()
        return Dataset.from_dict({"text": [row.text for row in self.parts.train], LABEL: list(numbers)})

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """The class number of each training text, `(rows,)`."""
        return np.array([places[0] for places in self.parts.classes_of(self.parts.train)], dtype=np.int64)

    def objective(self, loaded: LoadedModel, *, resumed: bool) -> Classified | Tagged:
        """Return the objective, whose class vectors start as class means of the encoder's vectors."""
        vectors = self._first_vectors(loaded, resumed=resumed)
        return self._tagged(loaded.model, vectors) if self.tags else self._classified(loaded.model, vectors)

    def _first_vectors(self, loaded: LoadedModel, *, resumed: bool) -> torch.Tensor:
        """Return initial class vectors; zeros for a resumed run, whose checkpoint contains them."""
        model = loaded.model
        if resumed:
            count = len(self.parts.names) * self._centres
            return torch.zeros(count, model.get_embedding_dimension(), device=model.device)
        texts = [row.text for row in self.parts.train]
        rows = list(zip(texts, self.parts.classes_of(self.parts.train), strict=True))
        return class_means(
            lambda texts: encode(model, texts, chunk_tokens=2048, bf16=loaded.bf16),
            rows, len(self.parts.names), centres=self._centres, seed=self.settings.seed,
        ).to(model.device)  # fmt: skip

    @property
    def _centres(self) -> int:
        """Vectors per class."""
        return 1 if self.tags else int(self.loss.centres)

    def _classified(self, model: SentenceTransformer, vectors: torch.Tensor) -> Classified:
        weights = class_weights(self._places) if self.settings.class_balance == "loss" else None
        return Classified(
            model, self.loss, vectors,
            max_classes=self.settings.max_classes,
            class_weights=None if weights is None else weights.to(model.device),
            margin_is_set=self.settings.margin != "auto",
            seed=self.settings.seed,
        )  # fmt: skip

    def _tagged(self, model: SentenceTransformer, vectors: torch.Tensor) -> Tagged:
        weights = [row.weights for row in self.parts.train]
        targets = Targets.of(list(zip(self.parts.classes_of(self.parts.train), weights, strict=True)))
        offset = first_offset(vectors)
        return Tagged(model, vectors, targets, scale=self.settings.scale, offset=offset)

    def additions(self, start: Start, watch: Watch) -> Additions:
        """Return the evaluator of the scored texts, or else of texts of held-out labels, the class vectors'
        learning rate, row weights, and the callback that sets the margin.
        """
        scored = self.parts.unseen if self.scored is None else self.scored.rows
        chunk_tokens = start.objective.plan.chunk_tokens
        weights, callbacks = None, []
        if self.settings.class_balance == "batches":
            weights = torch.as_tensor(1 / np.bincount(self._places)[self._places])
        if self.settings.margin == "auto":
            rows = list(zip([row.text for row in self.parts.train], self._places.tolist(), strict=True))
            after = self.settings.margin_after
            callbacks = [AutoMargin(start.objective, rows, after, bf16=start.bf16, watch=watch)]
        return Additions(
            evaluator=LabelScore(scored, chunk_tokens=chunk_tokens, bf16=start.bf16) if scored else None,
            learning_rates=dict.fromkeys(start.objective.own(), self.settings.class_learning_rate),
            callbacks=callbacks,
            weights=weights,
        )

    def provenance(self) -> Provenance:
        """Return the numbers of texts and labels, the held-out labels, and the loss."""
        texts, labels, held_out = len(self.parts.train), len(self.parts.names), self.parts.held_out
        held = f", {counted(len(held_out), 'label')} held out" if held_out else ""
        card = {
            "trained on": f"{counted(texts, 'text')} of {counted(labels, 'label')}{held}",
            "loss": spec.render(self.loss) + (", margin auto" if self.settings.margin == "auto" else ""),
        }
        calibrated_on = len(self.parts.calibrate)
        entries = {"examples": texts, "labels": labels, "held_out": held_out, "calibrated_on": calibrated_on}
        return Provenance(card, entries)

    def write(self, folder: Path, identity: Identity, start: Start) -> None:
        """Write the label vectors, with scores calibrated on texts that were not trained on."""
        trained_labels(start, self.parts, identity.fingerprint).save(folder)


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
