"""The settings of `train-amsoftmax`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from embedkit import spec
from embedkit.errors import UnknownNameError, UsageError
from embedkit.losses.registry import has_cosine_margin, losses_comparing, settings_of
from embedkit.training.run_settings import RunSettings, require, require_loss

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
        require_loss(name, losses_comparing("labels", "label sets"))
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
