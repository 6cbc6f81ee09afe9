"""`embedkit train-simcse`: sentences, pairs or triplets train an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.closing import passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import say
from embedkit.cli.input_options import TextFiles, TextOptions
from embedkit.cli.options import Common
from embedkit.cli.train.loss_options import LossOptions
from embedkit.cli.train.run_training import is_done, train_together
from embedkit.cli.train.training_options import TrainOptions, given_seed

if TYPE_CHECKING:
    from embedkit.data.text.examples import Examples
    from embedkit.data.text.scored_pairs import Pair
    from embedkit.training.recipe import Recipe
    from embedkit.training.settings import SimCSESettings

OUTPUT = "The trained model: a sentence-transformers folder."


def train_simcse(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    comparing: LossOptions,
    training: TrainOptions,
    inputs: TextFiles,
    common: Common,
) -> None:
    """Train an encoder on sentences, pairs or triplets, exactly at any batch size."""

    def read(common: Common) -> Recipe | None:
        from embedkit.training.settings import SimCSESettings, preset

        values = preset(comparing.preset) if comparing.preset is not None else None
        own = comparing.given() | given_seed(ctx, common)
        settings = training.settings(SimCSESettings, inputs.files, own=own, preset=values)
        if is_done(output, settings, training.run, common):
            return None
        examples, pairs = _read(settings, inputs.reading, common)
        from embedkit.training.simcse import SimCSE

        return SimCSE(settings, examples, pairs)

    train_together(output, read, training.run, common)


def _read(settings: SimCSESettings, reading: TextOptions, common: Common) -> tuple[Examples, list[Pair]]:
    from embedkit.data.text.examples import read_examples
    from embedkit.data.text.scored_pairs import read_pairs

    pairs = read_pairs(settings.eval) if settings.eval else []
    scores = (settings.score_columns or ()) if settings.teaches_scores else None
    examples = read_examples(settings.inputs, reading.format(), settings.columns, scores)
    over = passed_over(examples)
    for line in [*map(str, examples.choices), *([over] if over else [])]:
        if not common.quiet:
            say(line)
    return examples, pairs


app = command_app(
    train_simcse,
    epilog="Example: embedkit train-simcse corpus.txt --pooling cls --eval sts-dev.tsv -o model/",
)
