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
from embedkit.cli.train.loss_options import JudgedOptions, LossOptions
from embedkit.cli.train.run_training import is_done, train_together
from embedkit.cli.train.training_options import TrainOptions, given_seed

if TYPE_CHECKING:
    from embedkit.data.text.examples import Examples
    from embedkit.data.text.scored_pairs import Pair
    from embedkit.evaluation.judged_sets import JudgedSet
    from embedkit.training.recipe import Recipe
    from embedkit.training.simcse_settings import SimCSESettings

OUTPUT = "The trained model: a sentence-transformers folder."


def train_simcse(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    comparing: LossOptions,
    training: TrainOptions,
    evaluating: JudgedOptions,
    inputs: TextFiles,
    common: Common,
) -> None:
    """Train an encoder on sentences, pairs or triplets, exactly at any batch size."""

    def read(common: Common) -> Recipe | None:
        """Return the run that the options describe; None if it is finished."""
        from embedkit.training.simcse_settings import SimCSESettings, preset

        values = preset(comparing.preset) if comparing.preset is not None else None
        own = comparing.given() | evaluating.given() | given_seed(ctx, common)
        settings = training.settings(SimCSESettings, inputs.files, own=own, preset=values)
        if is_done(output, settings, training.run, common):
            return None
        examples = _read(settings, inputs.reading, common)
        pairs, judged = _evaluated(settings)
        from embedkit.training.simcse import SimCSE

        return SimCSE(settings, examples, pairs, judged)

    train_together(output, read, training.run, common)


def _evaluated(settings: SimCSESettings) -> tuple[list[Pair], JudgedSet | None]:
    """Return the labelled pairs, or the retrieval set, that `--eval` names."""
    from embedkit.data.text.scored_pairs import read_pairs
    from embedkit.evaluation.judged_sets import judged_files, read_judged_set

    if not settings.eval:
        return [], None
    files = judged_files(settings.eval, settings.eval_qrels, settings.eval_corpus)
    return (read_pairs(settings.eval), None) if files is None else ([], read_judged_set(files))


def _read(settings: SimCSESettings, reading: TextOptions, common: Common) -> Examples:
    from embedkit.data.text.examples import read_examples

    scores = (settings.score_columns or ()) if settings.teaches_scores else None
    examples = read_examples(settings.inputs, reading.format(), settings.columns, scores)
    over = passed_over(examples)
    for line in [*map(str, examples.choices), *([over] if over else [])]:
        if not common.quiet:
            say(line)
    return examples


app = command_app(
    train_simcse,
    epilog="Example: embedkit train-simcse corpus.txt --pooling cls --eval sts-dev.tsv -o model/",
)
