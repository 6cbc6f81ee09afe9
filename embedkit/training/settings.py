"""The settings of training runs: their defaults, and the presets of the papers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from embedkit import spec
from embedkit.errors import UnknownNameError, UsageError
from embedkit.losses.registry import has_cosine_margin, losses_comparing, settings_of

Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adax"]
Precision = Literal["auto", "fp32", "bf16"]

_SEEDS = ("seed", "holdout_seed")
_LARGEST_SEED = 2**32 - 1  # that NumPy and the trainer accept
_LARGEST = 2**31 - 1  # of any other whole number: products of two of them fit into 64 bits


@dataclass(frozen=True)
class RunSettings:
    """The settings of every training command. None takes the value of the model or the data."""

    inputs: tuple[str, ...] = ()
    model: str = "minilm"
    eval: str | None = None  # a labelled file, scored while training
    pooling: str | None = None
    max_length: int | None = None  # tokens per text while training
    batch_size: int = 64  # examples per step, over all processes
    chunk_size: int | None = None  # examples whose graphs are kept at a time; None: as memory allows
    accumulate: int = 1  # batches whose gradients are summed before a step
    epochs: float = 1.0
    max_steps: int | None = None
    learning_rate: float = 3e-5
    schedule: Schedule = "linear"
    warmup: float = 0.0  # share of the steps, below 1, or a number of steps
    weight_decay: float = 0.0
    optimizer: Optimizer = "adamw"
    max_grad_norm: float = 1.0
    dropout: float | None = None  # hidden layers
    attention_dropout: float | None = None
    lora: int | None = None  # rank of the matrices trained in place of the weights
    eval_steps: int = 125  # steps between evaluations, and between checkpoints
    patience: int | None = None  # stop after this many evaluations without improvement
    log_steps: int = 10
    precision: Precision = "auto"
    device: str | None = None
    seed: int = 0
    chunk_tokens: int | None = None  # computed from chunk_size; recorded to repeat a run
    passes: int | None = None  # 1 or 2; computed and recorded likewise

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a run reads."""
        return self.inputs if self.eval is None else (*self.inputs, self.eval)

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_size(self, field.name)
        for name in ("accumulate", "eval_steps", "log_steps"):
            _require(self, name, lambda value: value >= 1, "at least 1")
        for name in ("chunk_size", "max_steps", "max_length", "patience", "chunk_tokens", "lora"):
            _require(self, name, lambda value: value is None or value >= 1, "at least 1")
        for name in ("epochs", "learning_rate", "max_grad_norm"):
            _require(self, name, lambda value: math.isfinite(value) and value > 0, "above 0")
        for name in ("warmup", "weight_decay"):
            _require(self, name, lambda value: math.isfinite(value) and value >= 0, "at least 0")
        for name in ("dropout", "attention_dropout"):
            _require(self, name, lambda value: value is None or 0 <= value < 1, "at least 0 and below 1")
        for name, known in (("schedule", Schedule), ("optimizer", Optimizer), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise UnknownNameError(getattr(self, name), get_args(known), what=name, where=f"`{name}`")
        _require(
            self, "batch_size", lambda value: value >= 2, "at least 2, to have something to compare with"
        )


_CONTRAST = ("temperature", "hard_negative_weight", "scale_with_candidates", "mask_duplicates")


@dataclass(frozen=True)
class SimCSESettings(RunSettings):
    """The settings of `train-simcse`."""

    columns: tuple[str, ...] | None = None  # the columns of text in the inputs
    loss: str = "two-view"
    temperature: float = 0.05
    hard_negative_weight: float = 1.0
    scale_with_candidates: int | None = None
    mask_duplicates: bool = True
    head: bool = False  # a dense layer and tanh after the vectors in training, as in the paper

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contrast()

    def contrast(self) -> Any:
        """Return the loss with these settings; raises UsageError if it is unknown or lacks a setting."""
        _require_loss(self.loss, losses_comparing("views"))
        known = settings_of(self.loss)
        changed = {name for name in _CONTRAST if getattr(self, name) != getattr(SimCSESettings, name)}
        if lacking := sorted(changed - known):
            raise UsageError(f"loss {self.loss} has no {lacking[0]}", where=f"`{lacking[0]}`")
        given = {name: getattr(self, name) for name in _CONTRAST if name in known}
        try:
            return replace(spec.parse("loss", self.loss), **given)
        except ValueError as error:
            raise UsageError(str(error)) from None


Balance = Literal["none", "loss", "batches"]


@dataclass(frozen=True)
class AMSoftmaxSettings(RunSettings):
    """The settings of `train-amsoftmax`."""

    learning_rate: float = 1e-4
    label_field: str | None = None
    loss: str | None = None  # None: am-softmax for one label per text, zlpr for lists
    margin: float | Literal["auto"] | None = None  # None: the loss's default
    margin_after: float = 0.5  # share of the steps at margin 0, before `auto` sets the margin
    scale: float = 30.0  # logits are cosines times the scale
    centres: int | None = None  # centres per class, for sub-centre
    class_learning_rate: float = 1e-2
    class_balance: Balance = "none"
    max_classes: int = 20_000  # maximum classes per step; more are sampled
    holdout_labels: float = 0.0  # labels held out with all their texts: a share below 1, or a number
    holdout_seed: int = 0  # seed of the choice of held-out labels, and of texts for `calibrate`
    calibrate: float = 0.1  # share of each label's texts used to calibrate scores

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scale", "class_learning_rate"):
            _require(self, name, lambda value: math.isfinite(value) and value > 0, "above 0")
        for name in ("margin_after", "calibrate"):
            _require(self, name, lambda value: 0 <= value < 1, "at least 0 and below 1")
        _require(
            self,
            "holdout_labels",
            lambda value: 0 <= value < 1 or (value > 0 and value % 1 == 0),
            "a share below 1 or a whole number",
        )
        _require(self, "max_classes", lambda value: value >= 2, "at least 2")
        known = get_args(Balance)
        if self.class_balance not in known:
            raise UnknownNameError(self.class_balance, known, what="balance", where="`class_balance`")
        self.classification(multiple=False)

    def classification(self, *, multiple: bool) -> Any:
        """Return the loss with these settings, for one label per text or `multiple`; `auto` starts at margin
        0.

        Raises UsageError for a setting that the loss does not have.
        """
        name = self.loss or ("zlpr" if multiple else "am-softmax")
        _require_loss(name, losses_comparing("labels", "label sets"))
        known = settings_of(name)
        if self.margin is not None and "margin" not in known:
            raise UsageError(f"loss {name} has no margin", where="`margin`")
        if self.margin == "auto" and not has_cosine_margin(name):
            raise UsageError(
                f"auto sets a margin in cosine, which loss {name} does not have", where="`margin`"
            )
        if self.centres is not None and "centres" not in known:
            raise UsageError(f"loss {name} uses one centre per class", where="`centres`")
        margin = 0.0 if self.margin == "auto" else self.margin
        given = {"scale": self.scale, "centres": self.centres, "margin": margin}
        try:
            given = {field: value for field, value in given.items() if field in known and value is not None}
            return replace(spec.parse("loss", name), **given)
        except ValueError as error:
            raise UsageError(str(error)) from None


_PAPER: dict[str, Any] = {
    "loss": "two-view",
    "pooling": "cls",
    "head": True,
    "max_length": 32,
    "dropout": 0.1,
}
PRESETS: dict[str, dict[str, Any]] = {
    # arXiv 2104.08821, appendix A (BERT-base), and kexue.fm 8348
    "paper-unsup": {**_PAPER, "batch_size": 64, "learning_rate": 3e-5},
    "paper-sup": {**_PAPER, "batch_size": 512, "learning_rate": 5e-5, "epochs": 3.0},
    "article-zh": {
        "loss": "nt-xent", "pooling": "cls", "max_length": 64, "batch_size": 64, "learning_rate": 1e-5,
        "dropout": 0.3, "attention_dropout": 0.1, "schedule": "constant",
    },
}  # fmt: skip

AnySettings = TypeVar("AnySettings", bound=RunSettings)


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset; raises UnknownNameError when it does not exist."""
    if name not in PRESETS:
        raise UnknownNameError(name, PRESETS, what="preset", where="`preset`")
    return PRESETS[name]


def with_given(settings: AnySettings, given: dict[str, Any]) -> AnySettings:
    """Return the settings with some replaced; computed chunks are reset when their inputs change."""
    known = {field.name for field in fields(settings)}
    assert set(given) <= known, set(given) - known
    if {"chunk_size", "batch_size", "max_length"} & set(given) and "chunk_tokens" not in given:
        given = {**given, "chunk_tokens": None, "passes": None}
    return replace(settings, **given)


def located(settings: AnySettings) -> AnySettings:
    """Return the settings with absolute paths of files; URLs and `-` do not change."""
    inputs = tuple(_absolute(name) for name in settings.inputs)
    return replace(settings, inputs=inputs, eval=settings.eval and _absolute(settings.eval))


def _absolute(name: str) -> str:
    return name if name == "-" or "://" in name else str(Path(name).absolute())


def _require_loss(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownNameError(name, known, what="loss", where="`loss`")


def _require(settings: RunSettings, name: str, holds: Any, wanted: str) -> None:
    value = getattr(settings, name)
    if not holds(value):
        raise UsageError(f"must be {wanted}, got {value}", where=f"`{name}`")


def _require_size(settings: RunSettings, name: str) -> None:
    """Raise UsageError for a seed that no generator accepts, and for a whole number that is too large."""
    value = getattr(settings, name)
    if name in _SEEDS:
        _require(settings, name, lambda seed: 0 <= seed <= _LARGEST_SEED, f"between 0 and {_LARGEST_SEED}")
    elif isinstance(value, int) and value > _LARGEST:
        raise UsageError(f"must be at most {_LARGEST}, got {value}", where=f"`{name}`")
