"""Define the options of `embedkit train-amsoftmax`: its labels, loss and held-out texts."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from embedkit.errors import UsageError
from embedkit.losses.registry import losses_comparing

_LOSSES = "[am-softmax; zlpr for lists of labels]"
_HOLDOUT = (
    "Keep labels from training, all their texts: a share below 1, or a number. The best MAP on them is kept."
)


def _option(help: str, *names: str, **how: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **how)


def _margin(value: str | None) -> str | None:
    if value is None or value == "auto":
        return value
    with suppress(ValueError):
        if math.isfinite(float(value)):
            return value
    raise UsageError(f"{value} is neither auto nor a number", where="--margin")


if TYPE_CHECKING:
    LossName = str
else:  # the choices are the kinds in their folder
    LossName = Literal[losses_comparing("labels", "label sets")]


@dataclass(frozen=True)
class LabelOptions:
    """What labels there are, and how hard they are told apart."""

    panel: ClassVar = "Labels"

    label_field: Annotated[str | None, _option("Field with the label, or the labels.")] = None
    loss: Annotated[LossName | None, _option(_LOSSES)] = None
    margin: Annotated[
        str | None,
        _option(
            "Margin in cosine [0.35], or in radians for arc-face and sub-centre [0.5]. With "
            "auto, training begins at 0, estimates the diameter of a label, and sets the "
            "margin from it.",
            callback=_margin,
        ),
    ] = None
    margin_after: Annotated[
        float | None, _option("Share of the steps before auto sets the margin [0.5].")
    ] = None
    scale: Annotated[float | None, _option("Factor of the cosines [30].")] = None
    centres: Annotated[int | None, _option("Vectors per label, for sub-centre [3].")] = None
    class_learning_rate: Annotated[float | None, _option("Learning rate of the label vectors [1e-2].")] = None
    class_balance: Annotated[
        Literal["none", "loss", "batches"] | None,
        _option("Give rare labels more weight in the loss, or draw them as often as the others [none]."),
    ] = None
    max_classes: Annotated[
        int | None, _option("Labels per step; of more than these, a sample is compared [20000].")
    ] = None
    holdout_labels: Annotated[float | None, _option(_HOLDOUT)] = None
    holdout_seed: Annotated[
        int | None, _option("Seed that chooses the held-out labels, independent of --seed [0].")
    ] = None
    calibrate: Annotated[
        float | None,
        _option(
            "Share of each label's texts that is kept to calibrate the scores of `embedkit label` [0.1]."
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        if values.get("margin", "auto") != "auto":
            values["margin"] = float(values["margin"])
        return values
