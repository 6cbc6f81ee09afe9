"""The settings that every training command has, with their defaults and their checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from embedkit.errors import UnknownNameError, UsageError

Schedule = Literal["linear", "cosine", "constant"]
Optimizer = Literal["adamw", "adax", "exponentiated"]
Precision = Literal["auto", "fp32", "bf16"]

_EVALUATED = ("eval", "eval_qrels", "eval_corpus")  # settings that name files to evaluate on
_SEEDS = ("seed", "holdout_seed")
_LARGEST_SEED = 2**32 - 1  # that NumPy and the trainer accept
_LARGEST = 2**31 - 1  # of any other whole number: products of two of them fit into 64 bits


@dataclass(frozen=True)
class RunSettings:
    """The settings of every training command. None takes the value of the model or the data."""

    inputs: tuple[str, ...] = ()
    model: str = "minilm"
    eval: str | None = None  # a labelled file, or a retrieval set, scored while training
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
        named = (getattr(self, name, None) for name in _EVALUATED)
        return (*self.inputs, *(name for name in named if name is not None))

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_size(self, field.name)
        for name in ("accumulate", "eval_steps", "log_steps"):
            require(self, name, lambda value: value >= 1, "at least 1")
        for name in ("chunk_size", "max_steps", "max_length", "patience", "chunk_tokens", "lora"):
            require(self, name, lambda value: value is None or value >= 1, "at least 1")
        for name in ("epochs", "learning_rate", "max_grad_norm"):
            require(self, name, lambda value: math.isfinite(value) and value > 0, "above 0")
        for name in ("warmup", "weight_decay"):
            require(self, name, lambda value: math.isfinite(value) and value >= 0, "at least 0")
        for name in ("dropout", "attention_dropout"):
            require(self, name, lambda value: value is None or 0 <= value < 1, "at least 0 and below 1")
        for name, known in (("schedule", Schedule), ("optimizer", Optimizer), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise UnknownNameError(getattr(self, name), get_args(known), what=name, where=f"`{name}`")
        require(self, "batch_size", lambda value: value >= 2, "at least 2, to have something to compare with")


AnySettings = TypeVar("AnySettings", bound=RunSettings)


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
    named = {name: getattr(settings, name, None) for name in _EVALUATED}
    evaluated: dict[str, Any] = {name: _absolute(value) for name, value in named.items() if value is not None}
    return replace(settings, inputs=inputs, **evaluated)


def _absolute(name: str) -> str:
    return name if name == "-" or "://" in name else str(Path(name).absolute())


def require(settings: RunSettings, name: str, holds: Any, wanted: str) -> None:
    """Raise UsageError unless `holds` is True of a setting's value."""
    value = getattr(settings, name)
    if not holds(value):
        raise UsageError(f"must be {wanted}, got {value}", where=f"`{name}`")


def require_loss(name: str, known: tuple[str, ...], *, setting: str = "loss") -> None:
    """Raise UnknownNameError for a loss that a setting does not know."""
    if name not in known:
        raise UnknownNameError(name, known, what="loss", where=f"`{setting}`")


def _require_size(settings: RunSettings, name: str) -> None:
    """Raise UsageError for a seed that no generator accepts, and for a whole number that is too large."""
    value = getattr(settings, name)
    if name in _SEEDS:
        require(settings, name, lambda seed: 0 <= seed <= _LARGEST_SEED, f"between 0 and {_LARGEST_SEED}")
    elif isinstance(value, int) and value > _LARGEST:
        raise UsageError(f"must be at most {_LARGEST}, got {value}", where=f"`{name}`")
