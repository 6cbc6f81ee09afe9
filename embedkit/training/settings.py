"""The settings of the training commands: their defaults, and the presets of the papers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from embedkit import spec
from embedkit.errors import UnknownNameError, UsageError
from embedkit.losses.registry import has_cosine_margin, losses_comparing, settings_of, takes
from embedkit.training.run_settings import RunSettings, require

_CONTRAST = (
    "temperature", "hard_negative_weight", "scale_with_candidates", "mask_duplicates", "guide_margin",
)  # fmt: skip


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
    distinct: bool = False  # no text occurs twice in a batch
    guide: str | None = None  # an encoder that recognises false negatives; "self": the one to train
    guide_margin: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contrast()
        if self.guide is not None and not takes(self.loss, "guide"):
            raise UsageError(f"loss {self.loss} takes none", where="`guide`")
        if self.guide is None and self.guide_margin:
            raise UsageError("needs a guide", where="`guide_margin`", hint="name an encoder as the `guide`")

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
            require(self, name, lambda value: math.isfinite(value) and value > 0, "above 0")
        for name in ("margin_after", "calibrate"):
            require(self, name, lambda value: 0 <= value < 1, "at least 0 and below 1")
        require(
            self,
            "holdout_labels",
            lambda value: 0 <= value < 1 or (value > 0 and value % 1 == 0),
            "a share below 1 or a whole number",
        )
        require(self, "max_classes", lambda value: value >= 2, "at least 2")
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


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset; raises UnknownNameError when it does not exist."""
    if name not in PRESETS:
        raise UnknownNameError(name, PRESETS, what="preset", where="`preset`")
    return PRESETS[name]


def _require_loss(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownNameError(name, known, what="loss", where="`loss`")
