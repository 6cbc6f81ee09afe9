"""`embedkit train-amsoftmax`: texts and their labels train an encoder that retrieves by label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.closing import say_passed_over
from embedkit.cli.command import command_app
from embedkit.cli.input_options import TextFiles, TextOptions
from embedkit.cli.options import Common
from embedkit.cli.train.label_options import LabelOptions
from embedkit.cli.train.run_training import is_done, train_together
from embedkit.cli.train.training_options import TrainOptions, given_seed

if TYPE_CHECKING:
    from embedkit.data.text.labelled import Labelled
    from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
    from embedkit.training.recipe import Recipe

OUTPUT = "The trained model, a sentence-transformers folder, with its label vectors."


def train_amsoftmax(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    labelling: LabelOptions,
    training: TrainOptions,
    inputs: TextFiles,
    common: Common,
) -> None:
    """Train an encoder on labelled texts, by margin softmax, to retrieve by label."""

    def read(common: Common) -> Recipe | None:
        """Return the run that the options describe; None if it is finished."""
        from embedkit.training.amsoftmax_settings import AMSoftmaxSettings

        own = labelling.given() | given_seed(ctx, common)
        settings = training.settings(AMSoftmaxSettings, inputs.files, own=own)
        if is_done(output, settings, training.run, common):
            return None
        labelled, scored = _read(settings, inputs.reading, common)
        from embedkit.training.amsoftmax import AMSoftmaxRecipe

        return AMSoftmaxRecipe(settings, labelled, scored)

    train_together(output, read, training.run, common)


def _read(
    settings: AMSoftmaxSettings, reading: TextOptions, common: Common
) -> tuple[Labelled, Labelled | None]:
    from embedkit.data.text.labelled import read_labelled

    field = settings.label_field
    scored = read_labelled([settings.eval], reading.format(), field) if settings.eval else None
    labelled = read_labelled(settings.inputs, reading.format(), field)
    say_passed_over(labelled, common)
    return labelled, scored


app = command_app(
    train_amsoftmax, epilog="Example: embedkit train-amsoftmax labelled.csv --holdout-labels 0.2 -o model/"
)
