"""SimCSE: training on sentences, pairs or triplets, so that sentences become easier to distinguish (Gao, Yao
and Chen 2021, arXiv 2104.08821; kexue.fm 8348).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from embedkit import spec
from embedkit.data.identity import Identity
from embedkit.data.text.display import counted
from embedkit.data.text.examples import Examples
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.students import mark_student
from embedkit.evaluation.judged_sets import JudgedSet
from embedkit.training.base import CopiedModel
from embedkit.training.batch_sampling import Numbers, left_out, numbered
from embedkit.training.input_digests import Source, source
from embedkit.training.known_rows import (
    SELF,
    counts_of,
    needs_numbers,
    open_known,
    prepare_known,
    require_encoders,
    teacher_identity,
)
from embedkit.training.model import Head
from embedkit.training.objective import Contrastive
from embedkit.training.preflight import about_data, about_dropout, require_data, require_dims
from embedkit.training.recipe import Provenance
from embedkit.training.retrieval_scoring import MEASURE, RetrievalScore
from embedkit.training.run import train
from embedkit.training.run_log import Measure, Watch
from embedkit.training.scoring import PairScore
from embedkit.training.simcse_settings import NO_LOSS, SimCSESettings
from embedkit.training.start import LABEL, LoadedModel, Start
from embedkit.training.trained import Trained
from embedkit.training.trainer import Additions


@dataclass(frozen=True)
class SimCSE:
    """The recipe of SimCSE.

    One column of examples contains sentences, each its own positive by dropout; several columns are
    anchor, positive and hard negatives. `pairs` or a `judged` retrieval set are scored every `eval_steps`
    steps.
    """

    settings: SimCSESettings
    examples: Examples
    pairs: Sequence[Pair] = ()
    judged: JudgedSet | None = None
    command: ClassVar[str] = "train-simcse"

    @property
    def measure(self) -> Measure:
        """The correlation on the pairs, or nDCG@10 of the retrieval set."""
        if self.judged is None:
            return Measure("spearman", "Spearman", "on the labelled pairs")
        return Measure("ndcg10", MEASURE, "on the retrieval set")

    @property
    def base(self) -> CopiedModel:
        """A copy of the model that the settings name."""
        return CopiedModel(self.settings)

    def check(self, processes: int) -> None:
        """Raise DataError or UsageError for examples, pairs or documents that cannot be trained on."""
        require_data(self.examples, self.pairs, self.settings, processes)
        require_encoders(self.settings)
        if self.judged is not None:
            self.judged.require_documents(record.id for record in self.judged.documents())
        _ = self._left_out  # raises DataError if no batch without a repeated text is possible

    def sources(self) -> list[Source]:
        """Return the examples, and the pairs or the retrieval set if there are any."""
        rows, scores = self.examples.rows, self.examples.scores
        read = rows if scores is None else zip(rows, scores, strict=True)
        examples = source("the training examples", self.settings.inputs, read)
        if self.judged is not None:
            what, files = "the retrieval set of `eval`", self.judged.files
            return [examples, source(what, files, _read_from(self.judged))]
        if not self.pairs:
            return [examples]
        return [examples, source("the pairs of `eval`", [self.settings.eval or ""], self.pairs)]

    def advise(self) -> None:
        """Warn about repeated sentences, and about evaluation text in the training text."""
        held_out = {text for pair in self.pairs for text in pair[:2]}
        if self.judged is not None:
            held_out = {query.text for query in self.judged.queries}
        about_data(self.examples, held_out, self.settings, left_out=self._left_out)

    def prepare(self, folder: Path) -> None:
        """Write the vectors of the guide and of the teacher, if there are any."""
        prepare_known(folder, self.settings, self.examples.rows)

    def rows(self) -> Dataset:
        """Return the examples, one column per view.

        The label is the row's number if more is known of the rows than their texts, or else the number of
        hard negatives if rows differ in it.
        """
        rows = self.examples.rows
        columns = zip(*self._filled(rows), strict=True)
        views = {f"view{place}": list(column) for place, column in enumerate(columns)}
        labels = list(range(len(rows))) if needs_numbers(self.settings) else counts_of(rows)
        return Dataset.from_dict(views if labels is None else {**views, LABEL: labels})

    @cached_property
    def _width(self) -> int:
        """The largest number of views in a row."""
        return max(map(len, self.examples.rows))

    @cached_property
    def _text_numbers(self) -> Numbers | None:
        """Numbers that are equal where texts are, `(rows, views)`, if batches are to have no text twice."""
        return numbered(self._filled(self.examples.rows)) if self.settings.distinct else None

    @cached_property
    def _left_out(self) -> int:
        """The number of examples that the first epoch leaves out, because batches have no text twice."""
        if self._text_numbers is None:
            return 0
        return left_out(self._text_numbers, self.settings.batch_size, self.settings.seed)

    def _filled(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Return rows of equal length: a row's shortest text replaces missing hard negatives."""
        return [row + (min(row, key=len),) * (self._width - len(row)) for row in rows]

    def objective(self, loaded: LoadedModel, *, resumed: bool) -> Contrastive:
        """Return the contrastive objective, with a new head if the settings have one."""
        model, loss = loaded.model, self.settings.training_loss()
        if loss.compares == "views":
            about_dropout(loaded.dropout, self.examples)
        require_dims(self.settings, model.get_embedding_dimension())
        head = Head(model.get_embedding_dimension()).to(model.device) if self.settings.head else None
        known = open_known(loaded.folder, self.settings, self.examples)
        return Contrastive(model, loss, known=known, head=head)

    def additions(self, start: Start, watch: Watch) -> Additions:
        """Return the evaluator, if there is one, and the texts that batches must not repeat."""
        how: dict[str, Any] = {"chunk_tokens": start.objective.plan.chunk_tokens, "bf16": start.bf16}
        evaluator: SentenceEvaluator | None = PairScore(self.pairs, **how) if self.pairs else None
        if self.judged is not None:
            evaluator = RetrievalScore(self.judged, **how)
        return Additions(evaluator, texts=self._text_numbers)

    def provenance(self) -> Provenance:
        """Return the examples, their columns, and the loss."""
        count, columns = len(self.examples), self.examples.columns
        card = {
            "trained on": f"{counted(count, 'example')} of {' + '.join(columns)}",
            "loss": _named(self.settings),
        }
        entries: dict[str, Any] = {"examples": count, "columns": list(columns)}
        if self.settings.dims is not None:
            card["dimensions"] = f"trained to be truncated to {', '.join(map(str, self.settings.dims))}"
            entries["dims"] = list(self.settings.dims)
        return Provenance(card, entries)

    def write(self, folder: Path, identity: Identity, start: Start) -> None:
        """Note the teacher of a model that has learnt its vectors, and nothing else."""
        teacher = self.settings.teacher
        if teacher not in (None, SELF) and self.settings.training_loss().compares == "vectors":
            mark_student(folder, identity, teacher_identity(self.settings))


def train_simcse(
    path: str | Path,
    settings: SimCSESettings,
    examples: Examples,
    pairs: Sequence[Pair] = (),
    *,
    judged: JudgedSet | None = None,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Train `settings.model` on examples and write a sentence-transformers folder to `path`.

    One column of examples contains sentences, each its own positive by dropout; several columns are anchor,
    positive and hard negatives. `pairs`, or the nDCG@10 of a `judged` retrieval set, are scored every
    `eval_steps` steps and the best checkpoint is kept.
    `watch` is called at every step. Raises DataError or UsageError for data that cannot be trained on, before
    a model is loaded.
    """
    return train(path, SimCSE(settings, examples, pairs, judged), resume=resume, force=force, watch=watch)


def _read_from(judged: JudgedSet) -> Iterator[tuple[str, ...]]:
    """Yield the content of a retrieval set."""
    yield from ((query.id, query.text) for query in judged.queries)
    yield from ((query, repr(grades)) for query, grades in judged.task.qrels.items())
    yield from ((record.id, record.embedded) for record in judged.documents())


def _named(settings: SimCSESettings) -> str:
    """Return the losses in words, for the model card."""
    taught, by = settings.taught(), settings.teacher or "scores of the examples"
    parts = [f"{settings.loss}, temperature {settings.temperature:g}"] * (settings.loss != NO_LOSS)
    parts += [] if taught is None else [f"{spec.render(taught)}, taught by {by}"]
    return "; ".join(parts)
