"""The settings of `pretrain`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from embedkit.embedding.architectures.registry import architecture
from embedkit.errors import UnknownNameError, UsageError
from embedkit.training.pretraining.token_kinds import SPECIAL, TokenKind
from embedkit.training.run_settings import RunSettings, require

NO_MODEL = "none"  # start from random weights
DEFAULT = "bert"  # architecture of a new model
_WIDER = (2, 4, 8)
NewVocabulary = Literal["replace", "extend"]
POSITIONS = 128  # tokens that a new model reads unless `max_length` is given
_OF_VOCABULARY = ("tokens", "vocabulary_size", "lowercase")


@dataclass(frozen=True)
class PretrainSettings(RunSettings):
    """The settings of `pretrain`; the defaults are for a new model and a small corpus."""

    model: str = NO_MODEL
    columns: tuple[str, ...] | None = None  # one or two columns of text in the inputs
    epochs: float = 3.0
    learning_rate: float = 5e-4
    warmup: float = 0.05
    weight_decay: float = 0.01
    eval_steps: int = 500
    arch: str | None = None  # spec of a new model's architecture; None: bert
    tokens: TokenKind | None = None  # kind of a learnt vocabulary; None: wordpiece
    vocabulary_size: int | None = None  # tokens of a learnt vocabulary, or words that `extend` adds
    lowercase: bool | None = None  # None: True
    vocabulary: NewVocabulary | None = None  # what becomes of the vocabulary of `model`; None: it is kept
    widen: int | None = None  # how many times as wide `model` becomes before it is trained; None: as it is
    mask_share: float = 0.15  # share of the words to predict
    whole_words: bool = True
    gradient_penalty: float = 0.0  # weight of the gradient penalty of a text
    holdout: float = 0.02  # texts to measure the perplexity on: a share below 1, or a number

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("tokens", TokenKind), ("vocabulary", NewVocabulary)):
            value = getattr(self, name)
            if value is not None and value not in get_args(known):
                raise UnknownNameError(value, get_args(known), what=name, where=f"`{name}`")
        require(
            self, "gradient_penalty", lambda value: math.isfinite(value) and value >= 0, "at least 0"
        )  # fmt: skip
        require(self, "mask_share", lambda value: 0 < value < 1, "above 0 and below 1")
        require(
            self, "holdout", lambda value: 0 < value < 1 or (value >= 1 and value % 1 == 0),
            "a share above 0 and below 1, or a whole number",
        )  # fmt: skip
        fewest = 1 if self.vocabulary == "extend" else len(SPECIAL) + 1
        require(self, "vocabulary_size", lambda value: value is None or value >= fewest, f"at least {fewest}")
        if self.columns is not None and len(self.columns) > 2:
            raise UsageError("names one column of text, or two of pairs", where="`columns`")
        self._require_start()

    def _require_start(self) -> None:
        """Raise UsageError for settings that do not apply to what the run starts from."""
        architecture(self.arch or DEFAULT)  # raises UsageError for one that does not exist
        if self.lora is not None and (self.is_new or self.vocabulary is not None):
            what = "a new model" if self.is_new else "a new vocabulary"
            raise UsageError(f"trains no embeddings, which {what} needs", where="`lora`", hint="omit it")
        if self.is_new and self.vocabulary is not None:
            raise UsageError("changes a model's vocabulary", where="`vocabulary`", hint="name a `model`")
        if self.is_new and self.pooling not in (None, "mean"):
            raise UsageError("a new model has mean pooling", where=f"`pooling={self.pooling}`")
        if self.is_new and self.widen is not None:
            raise UsageError("is for a trained model", where="`widen`", hint="name a `model`, or set `arch`")
        require(self, "widen", lambda value: value in (None, *_WIDER), "2, 4 or 8")
        if not self.is_new and self.arch is not None:
            raise UsageError("is for a new model", where="`arch`", hint="omit it or the `model`")
        if not (self.is_new or self.vocabulary == "replace"):
            allowed = ("vocabulary_size",) if self.vocabulary == "extend" else ()
            for name in _OF_VOCABULARY:
                if getattr(self, name) is not None and name not in allowed:
                    hint = "set `vocabulary=replace`, or omit the `model`"
                    raise UsageError("is for a vocabulary that is learnt", where=f"`{name}`", hint=hint)

    @property
    def is_new(self) -> bool:
        """True when the run starts from random weights."""
        return self.model == NO_MODEL


_CONTINUED: dict[str, object] = {"learning_rate": 5e-5, "epochs": 1.0}


def defaults_of(model: str | None) -> dict[str, object]:
    """Return the settings that have other defaults where a model is continued; empty for a new one."""
    return {} if model in (None, NO_MODEL) else dict(_CONTINUED)
