"""Pretraining by masked language modelling: an encoder learns to predict hidden words of a corpus (Devlin et
al. 2019, arXiv 1810.04805; pairs and anonymised text as in kexue.fm 8213).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from datasets import Dataset

from embedkit.data.identity import Identity
from embedkit.data.text.scored_pairs import Pair
from embedkit.errors import ModelError
from embedkit.training.base import Base
from embedkit.training.input_digests import Source, source
from embedkit.training.preflight import require_batch, require_pairs
from embedkit.training.pretraining.continued_model import ContinuedModel, tokens_per_text
from embedkit.training.pretraining.corpus import Corpus, Row, hold_out
from embedkit.training.pretraining.held_out_score import PERPLEXITY, HeldOutScore, Outcome
from embedkit.training.pretraining.masked_language import MaskedLanguage
from embedkit.training.pretraining.masking import Masking
from embedkit.training.pretraining.new_model import NewModel
from embedkit.training.pretraining.prediction_head import head_for, kept_head, load_head, save_head
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.recipe import Provenance
from embedkit.training.run import train
from embedkit.training.run_folder import BASE
from embedkit.training.run_log import Measure, Watch
from embedkit.training.scoring import PairScore
from embedkit.training.start import LABEL, LoadedModel, Start
from embedkit.training.trained import Trained
from embedkit.training.trainer import Additions


@dataclass(frozen=True)
class Pretraining:
    """The recipe of masked language modelling on a corpus, of which some rows are held out; `pairs` are
    scored too.
    """

    settings: PretrainSettings
    corpus: Corpus
    pairs: Sequence[Pair] = ()
    command: ClassVar[str] = "pretrain"
    measure: ClassVar[Measure] = Measure(PERPLEXITY, PERPLEXITY, "of held-out texts", falls=True, factor=1.0)

    @property
    def base(self) -> Base:
        """A new model, or the model that the settings name, with a new vocabulary if they say so."""
        rows = self.parts[0]
        return NewModel(self.settings, rows) if self.settings.is_new else ContinuedModel(self.settings, rows)

    @cached_property
    def parts(self) -> tuple[list[Row], list[Row]]:
        """The rows to train on, and the rows held out."""
        return hold_out(self.corpus.rows, self.settings.holdout, self.settings.seed)

    def check(self, processes: int) -> None:
        """Raise DataError or UsageError for a corpus or pairs that cannot be used."""
        require_batch(len(self.parts[0]), self.settings, processes)
        require_pairs(self.pairs, self.settings)

    def advise(self) -> None:
        """Say nothing: repeated texts are as frequent as they are in the corpus."""

    def sources(self) -> list[Source]:
        """Return the corpus, and the pairs if there are any."""
        corpus = source("the corpus", self.settings.inputs, self.corpus.rows)
        if not self.pairs:
            return [corpus]
        return [corpus, source("the pairs of `eval`", [self.settings.eval or ""], self.pairs)]

    def prepare(self, folder: Path) -> None:
        """Write nothing: the base has all that the objective reads."""

    def rows(self) -> Dataset:
        """Return the training rows, one column per text; the label is the row's number."""
        rows = self.parts[0]
        columns = {f"text{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}
        return Dataset.from_dict({**columns, LABEL: list(range(len(rows)))})

    def objective(self, loaded: LoadedModel, *, resumed: bool) -> MaskedLanguage:
        """Return the objective, with the base's head if it has one and a new head otherwise."""
        model, settings = loaded.model, self.settings
        tokenizer = model.tokenizer
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "its tokenizer has no mask", where=settings.model, hint="set `vocabulary=replace`"
            )
        head = head_for(model[0].auto_model)
        if (weights := kept_head(loaded.folder / BASE)) is not None:
            load_head(head, weights, where=settings.model)
        masking = Masking.of(
            tokenizer, share=settings.mask_share, whole_words=settings.whole_words, seed=settings.seed
        )
        found = MaskedLanguage(
            model, head.to(model.device), masking,
            max_length=settings.max_length, penalty=settings.gradient_penalty,
        )  # fmt: skip
        found.outcome = tokens_per_text(loaded.folder / BASE)
        return found

    def additions(self, start: Start, watch: Watch) -> Additions:
        """Return the evaluator of held-out texts and pairs, and the callback that reports it."""
        objective, chunk_tokens = start.objective, start.objective.plan.chunk_tokens
        assert isinstance(objective, MaskedLanguage)
        pairs = PairScore(self.pairs, chunk_tokens=chunk_tokens, bf16=start.bf16) if self.pairs else None
        evaluator = HeldOutScore(
            objective, self.parts[1], pairs, max_length=self.settings.max_length, bf16=start.bf16
        )
        outcome = Outcome(objective, self.settings.eval, continued=not self.settings.is_new)
        return Additions(evaluator, callbacks=[outcome])

    def provenance(self) -> Provenance:
        """Return the corpus, the vocabulary and the masks."""
        settings, held_out = self.settings, len(self.parts[1])
        words = "words" if settings.whole_words else "tokens"
        card = {
            "trained on": f"{self.corpus.what()}, {held_out:,} of them held out",
            "loss": f"masked language modelling, {settings.mask_share:.0%} of the {words}",
        }
        if settings.gradient_penalty:
            card["loss"] += f", with gradient penalty {settings.gradient_penalty:g}"
        if settings.is_new or settings.vocabulary is not None:
            card["vocabulary"] = _VOCABULARIES[settings.vocabulary].format(settings.tokens or "wordpiece")
        entries: dict[str, object] = {"examples": len(self.parts[0]), "held_out": held_out}
        return Provenance(card, entries)

    def write(self, folder: Path, identity: Identity, start: Start) -> None:
        """Write the head, from which another run can continue."""
        assert isinstance(start.objective, MaskedLanguage)
        save_head(start.objective.prediction.state_dict(), folder)


_VOCABULARIES = {
    None: "{}, learnt from the corpus",
    "replace": "{}, learnt from the corpus in place of the base model's",
    "extend": "the base model's, with frequent words of the corpus",
}


def pretrain(
    path: str | Path,
    settings: PretrainSettings,
    corpus: Corpus,
    pairs: Sequence[Pair] = (),
    *,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Pretrain an encoder on a corpus and write a sentence-transformers folder to `path`.

    Every `eval_steps` steps the perplexity of masked tokens of held-out texts is measured, and the Spearman
    correlation on scored `pairs`; the checkpoint with the least perplexity is kept. `watch` is called at
    every step. Raises DataError or UsageError for data that cannot be trained on, before any long work.
    """
    return train(path, Pretraining(settings, corpus, pairs), resume=resume, force=force, watch=watch)
