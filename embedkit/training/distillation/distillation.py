"""Distillation of an encoder into a static one, on the user's own texts.

    1. The teacher encodes the texts; its vectors go to disk, shard by shard, so that a killed run resumes.
    2. Token vectors start from the teacher's vectors of the tokens themselves, times a / (a + p) for a token
       of frequency p (smooth inverse frequency: Arora, Liang and Ma 2017; a = 0.001).
    3. A ridge regression fits them to the teacher's vectors of the texts (`ridge.py`). Its penalty is the one
       with the highest mean cosine to the teacher on held-out texts.
    4. One epoch of gradient steps towards the teacher's similarities (`refinement.py`) is kept if it finds
       more of the teacher's neighbours among the held-out texts.

The student's space is the teacher's, rotated to its principal axes and cut after `dim` of them; with the
teacher's own number of dimensions it is the teacher's space itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from embedkit.data.atomic import refuse_existing, scratch_folder, whole_folder
from embedkit.data.text.display import counted
from embedkit.data.text.record import Record
from embedkit.data.text.scored_pairs import Pair, read_pairs
from embedkit.data.text.sentences import in_sentences
from embedkit.data.vectors import tables
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.data.vectors.vector_set import Batch, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.batching import windows
from embedkit.embedding.encoder import Encoder, Mapped
from embedkit.embedding.encoding import describe, encode_batches
from embedkit.embedding.export.sentence_transformers import MARKER
from embedkit.embedding.loading import load
from embedkit.embedding.reused_vectors import Reusing
from embedkit.embedding.students import mark_student
from embedkit.errors import DataError, ModelError
from embedkit.evaluation.sts import cosines, spearman
from embedkit.training.distillation.distill_settings import FEWEST_TEXTS, DistillSettings
from embedkit.training.distillation.fitting_tokens import Fitted, fit_table
from embedkit.training.distillation.output_folder import write_encoder, write_story
from embedkit.training.distillation.quality import Agreement, agreement
from embedkit.training.distillation.static_tokens import read_tokenizer
from embedkit.training.distillation.teacher_vectors import Corpus, teacher_of

if TYPE_CHECKING:
    pass

_TIMED = 256  # texts that the teacher encodes again to measure its speed


class Distilled(NamedTuple):
    """The result of a distillation, measured on held-out texts."""

    texts: int
    held_out: int
    tokens: int
    dimension: int
    penalty: float
    refined: bool
    agreement: Agreement
    teacher_speed: float  # texts per second
    student_speed: float
    fingerprint: str
    scores: tuple[float, float] | None  # Spearman of teacher and student on the pairs of `eval`


class Distillation:
    """A distillation in two steps: iterate over `encode()`, then call `fit()`.

    As a context manager it holds the teacher's vectors in `NAME.partial` beside the output. They stay there
    when a run is interrupted, for `resume`, and are deleted when it has ended. Vectors of texts in the set
    `reuse` are copied.
    """

    def __init__(
        self,
        output: Path,
        encoder: Encoder,
        settings: DistillSettings,
        *,
        reuse: VectorSet | None = None,
        resume: bool = False,
        force: bool = False,
    ) -> None:
        base: Any = encoder.encoder if isinstance(encoder, Mapped) else encoder
        folder = getattr(base, "folder", None)
        if folder is None or folder.is_static:
            raise ModelError(
                "is no network, so there is nothing to distil", where=settings.model, hint="name a model"
            )
        refuse_existing(output, force=force, marker=MARKER)
        self.output, self.encoder, self.settings = output, encoder, settings
        self._pairs = None if settings.eval is None else read_pairs(settings.eval)
        self.tokenizer = read_tokenizer(folder.transformer_path, where=folder.name)
        self.teacher = teacher_of(encoder)
        if reuse is not None:
            self.teacher = Reusing(self.teacher, reuse)
        self._resume, self._force, self._open = resume, force, ExitStack()

    def __enter__(self) -> Distillation:
        how = {"inputs": list(self.settings.inputs), "whole": self.settings.whole}
        self._writer = self._open.enter_context(
            VectorSetWriter(
                self.output,
                describe(self.teacher),
                settings=how,
                resume=self._resume,
                force=self._force,
                shard_rows=SHARD_ROWS,
            )
        )
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def encode(self, records: Iterable[Record]) -> Iterator[Batch]:
        """Encode the texts, or their sentences, with the teacher; yield each batch once it is stored."""
        self._source = getattr(records, "name", None)
        passages = iter(records if self.settings.whole else in_sentences(records))
        done = islice(passages, self._writer.sealed_rows)
        self._writer.replay(map(tables.to_table, windows(done, block=SHARD_ROWS)))
        for batch in encode_batches(self.teacher, passages, block=SHARD_ROWS):
            self._writer.append(batch)
            yield batch

    def fit(self, on_step: Callable[[str], None] = lambda step: None) -> Distilled:
        """Fit the static encoder, write its folder, and return its measures; `on_step` names each step.

        Raises DataError for fewer than 200 texts.
        """
        corpus = Corpus(self._writer.complete(), self.settings.seed)
        if len(corpus) < FEWEST_TEXTS:
            self._writer.remove()
            raise DataError(
                f"distillation needs at least {FEWEST_TEXTS} texts, got {len(corpus)}", where=self._source
            )
        with scratch_folder(self.output) as scratch:
            fitted = fit_table(corpus, self.encoder, self.tokenizer, self.settings, scratch, on_step)
        on_step("measuring")
        with whole_folder(self.output) as folder:
            write_encoder(folder, fitted.tokenizer, fitted.table)
            found = self._measure(folder, corpus, fitted)
            made = load(str(folder)).identity
            write_story(folder, self.encoder.identity, made, self.settings, story_of(found), card_rows(found))
            if self.settings.dim is None:  # its space is the teacher's
                mark_student(folder, made, self.encoder.identity)
        self._writer.remove()
        return found._replace(fingerprint=load(str(self.output)).identity.fingerprint)

    def _measure(self, folder: Path, corpus: Corpus, fitted: Fitted) -> Distilled:
        texts, teacher = corpus.held_out_rows()
        student = load(str(folder))
        vectors = student.encode(texts)
        return Distilled(
            texts=len(corpus),
            held_out=len(texts),
            tokens=len(fitted.table),
            dimension=fitted.table.shape[1],
            penalty=fitted.penalty,
            refined=fitted.refined,
            agreement=agreement(teacher, vectors, seed=self.settings.seed),
            teacher_speed=_speed(self.encoder, texts[:_TIMED]),
            student_speed=_speed(student, texts),
            fingerprint="",
            scores=None if self._pairs is None else _scores(self._pairs, self.encoder, student),
        )


def _speed(encoder: Encoder, texts: list[str]) -> float:
    """Return texts per second, after a first text that loads the encoder."""
    encoder.encode(texts[:1])
    start = time.perf_counter()
    encoder.encode(texts)
    return len(texts) / (time.perf_counter() - start)


def _scores(pairs: Sequence[Pair], teacher: Encoder, student: Encoder) -> tuple[float, float]:
    """Return Spearman's correlation of each encoder's cosines with the scores of pairs."""
    gold = [pair.score for pair in pairs]
    return spearman(cosines(teacher, pairs), gold), spearman(cosines(student, pairs), gold)


def story_of(found: Distilled) -> dict[str, object]:
    """Return the measures as JSON values."""
    facts: dict[str, object] = {
        name: getattr(found, name) for name in ("texts", "held_out", "tokens", "dimension")
    }
    facts |= {"penalty": found.penalty, "refined": found.refined}
    facts |= {"overlap@10": round(found.agreement.overlap, 4), "spearman": round(found.agreement.spearman, 4)}
    facts |= {"texts_per_second": round(found.student_speed, 1)}
    facts |= {"teacher_texts_per_second": round(found.teacher_speed, 1)}
    if found.scores is not None:
        facts |= {
            "eval_spearman": round(found.scores[1], 4),
            "teacher_eval_spearman": round(found.scores[0], 4),
        }
    return facts


def card_rows(found: Distilled) -> dict[str, str]:
    """Return the measures as rows of the model card."""
    rows = {
        "distilled from": f"{counted(found.texts, 'text')}, {found.held_out:,} of them held out",
        "the teacher's 10 nearest of held-out texts found": f"{found.agreement.overlap:.1%}",
        "Spearman of similarities to the teacher's": f"{found.agreement.spearman:.3f}",
        "speed": f"{found.student_speed:,.0f} texts/s, the teacher {found.teacher_speed:,.0f}",
    }
    if found.scores is not None:
        rows["Spearman on scored pairs"] = f"{found.scores[1]:.4f}, the teacher {found.scores[0]:.4f}"
    return rows
