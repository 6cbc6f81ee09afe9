"""The settings of `train-simcse`: their defaults, and the presets of the papers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from embedkit import spec
from embedkit.errors import UnknownNameError, UsageError
from embedkit.losses.combining import Nested, WeightedSum
from embedkit.losses.registry import Compared, losses_comparing, settings_of, takes
from embedkit.losses.view_contrast import ViewContrast
from embedkit.training.run_settings import RunSettings, require, require_loss

NO_LOSS = "none"
_TAUGHT = "batch-kl"  # the default loss of a teacher
_BY_TEACHER: tuple[Compared, ...] = ("similarities", "vectors")  # of a teacher; no file has them
_CONTRAST = (
    "temperature", "hard_negative_weight", "scale_with_candidates", "mask_duplicates", "guide_margin",
)  # fmt: skip


@dataclass(frozen=True)
class SimCSESettings(RunSettings):
    """The settings of `train-simcse`."""

    columns: tuple[str, ...] | None = None  # the columns of text in the inputs
    eval_qrels: str | None = None  # judgements and documents of a retrieval set, whose queries are `eval`
    eval_corpus: str | None = None
    loss: str = "two-view"  # "none": only what `distill` names
    temperature: float = ViewContrast.temperature
    hard_negative_weight: float = ViewContrast.hard_negative_weight
    scale_with_candidates: int | None = ViewContrast.scale_with_candidates
    mask_duplicates: bool = ViewContrast.mask_duplicates
    head: bool = False  # a dense layer and tanh after the vectors in training, as in the paper
    distinct: bool = False  # no text occurs twice in a batch
    guide: str | None = None  # an encoder that recognises false negatives; "self": the one to train
    guide_margin: float = ViewContrast.guide_margin
    distill: str | None = None  # the spec of a loss that a teacher gives its targets, such as "kl"
    distill_weight: float = 1.0  # its weight in the sum with `loss`
    teacher: str | None = None  # an encoder that is learnt from; None: scores in the inputs are
    score_columns: tuple[str, ...] | None = None  # of the positive and of the negatives
    dims: tuple[int, ...] | None = None  # the loss is that of the first dimensions, summed over these numbers
    dim_weights: tuple[float, ...] | None = None  # of each of `dims`; None: 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contrast()
        if self.guide is not None and (self.loss == NO_LOSS or not takes(self.loss, "guide")):
            raise UsageError(f"loss {self.loss} takes none", where="`guide`")
        if self.guide is None and self.guide_margin:
            raise UsageError("needs a guide", where="`guide_margin`", hint="name an encoder as the `guide`")
        require(self, "distill_weight", lambda value: math.isfinite(value) and value > 0, "above 0")
        for name in ("eval_qrels", "eval_corpus"):
            if getattr(self, name) is not None and self.eval is None:
                raise UsageError("needs `eval`", where=f"`{name}`")
        self._require_teaching()
        self._require_dims()

    def training_loss(self) -> Any:
        """Return the loss to train with: the sum of `loss` and `distill`, of each of `dims`."""
        contrast, taught = self.contrast(), self.taught()
        loss = contrast or taught
        if contrast is not None and taught is not None:
            loss = WeightedSum((contrast, taught), (1.0, self.distill_weight))
        if self.dims is None:
            return loss
        return Nested(loss, self.dims, self.dim_weights or (1.0,) * len(self.dims))

    @property
    def teaches_scores(self) -> bool:
        """True when scores in the inputs are taught."""
        taught = self.taught()
        return self.teacher is None and taught is not None and taught.compares == "scores"

    def taught(self) -> Any:
        """Return the loss of distillation, by default `batch-kl` with a teacher and None without."""
        if self.distill is None:
            return spec.parse("loss", _TAUGHT) if self.teacher is not None else None
        known = losses_comparing("scores", *_BY_TEACHER)
        require_loss(self.distill.partition(":")[0], known, setting="distill")
        return spec.parse("loss", self.distill)

    def _require_teaching(self) -> None:
        """Raise UsageError for settings of distillation that contradict each other."""
        taught = self.taught()
        if taught is None and self.loss == NO_LOSS:
            raise UsageError(f"{NO_LOSS} leaves nothing to learn", where="`loss`", hint="set `distill`")
        if (taught is None or self.loss == NO_LOSS) and self.distill_weight != 1:
            raise UsageError("applies to the sum of `loss` and `distill`", where="`distill_weight`")
        if self.teacher is None and taught is not None and taught.compares in _BY_TEACHER:
            raise UsageError(f"{self.distill} needs a teacher", where="`distill`", hint="name a `teacher`")
        if self.score_columns is not None and not self.teaches_scores:
            raise UsageError("names scores that are not taught", where="`score_columns`")

    def _require_dims(self) -> None:
        """Raise UsageError for dimensions or weights that no vector can have."""
        if self.dims is None:
            if self.dim_weights is not None:
                raise UsageError("needs `dims`", where="`dim_weights`")
            return
        if not self.dims or min(self.dims) < 1 or len(set(self.dims)) < len(self.dims):
            found = ",".join(map(str, self.dims))
            raise UsageError(f"must be different numbers of at least 1, got {found}", where="`dims`")
        if self.head:
            raise UsageError("does not apply to vectors after a `head`", where="`dims`")
        weights = (1.0,) * len(self.dims) if self.dim_weights is None else self.dim_weights
        if len(weights) != len(self.dims):
            what = f"has {len(weights)} weights for {len(self.dims)} `dims`"
            raise UsageError(what, where="`dim_weights`")
        if not all(math.isfinite(weight) and weight > 0 for weight in weights):
            raise UsageError("must be numbers above 0", where="`dim_weights`")

    def contrast(self) -> Any:
        """Return the loss with these settings, None for `none`; raises UsageError if it is unknown or lacks a
        setting.
        """
        require_loss(self.loss, (*losses_comparing("views"), NO_LOSS))
        known = settings_of(self.loss) if self.loss != NO_LOSS else frozenset()
        changed = {name for name in _CONTRAST if getattr(self, name) != getattr(SimCSESettings, name)}
        if lacking := sorted(changed - known):
            raise UsageError(f"loss {self.loss} has no {lacking[0]}", where=f"`{lacking[0]}`")
        if self.loss == NO_LOSS:
            return None
        given = {name: getattr(self, name) for name in _CONTRAST if name in known}
        try:
            return replace(spec.parse("loss", self.loss), **given)
        except ValueError as error:
            raise UsageError(str(error)) from None


_PAPER: dict[str, object] = {
    "loss": "two-view",
    "pooling": "cls",
    "head": True,
    "max_length": 32,
    "dropout": 0.1,
}
PRESETS: dict[str, dict[str, object]] = {
    # arXiv 2104.08821, appendix A (BERT-base), and kexue.fm 8348
    "paper-unsup": {**_PAPER, "batch_size": 64, "learning_rate": 3e-5},
    "paper-sup": {**_PAPER, "batch_size": 512, "learning_rate": 5e-5, "epochs": 3.0},
    "article-zh": {
        "loss": "nt-xent", "pooling": "cls", "max_length": 64, "batch_size": 64, "learning_rate": 1e-5,
        "dropout": 0.3, "attention_dropout": 0.1, "schedule": "constant",
    },
}  # fmt: skip


def preset(name: str) -> dict[str, object]:
    """Return the settings of a preset; raises UnknownNameError when it does not exist."""
    if name not in PRESETS:
        raise UnknownNameError(name, PRESETS, what="preset", where="`preset`")
    return PRESETS[name]
