"""`embedkit train-simcse`: sentences, pairs or triplets train an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import passed_over, say
from embedkit.cli.options import Common, Files, TextOptions
from embedkit.cli.train.options import TrainOptions, given_seed, is_done, train_together
from embedkit.losses.registry import losses_comparing

if TYPE_CHECKING:
    from embedkit.data.text.examples import Examples
    from embedkit.data.text.scored_pairs import Pair
    from embedkit.training.recipe import Recipe
    from embedkit.training.settings import SimCSESettings

OUTPUT = "The trained model: a sentence-transformers folder."
_LOSS = "Loss"

if TYPE_CHECKING:
    LossName = str
else:  # the choices are the kinds in their folder
    LossName = Literal[losses_comparing("views")]


@dataclass(frozen=True)
class LossOptions:
    """What is compared, and how sharply."""

    preset: Annotated[
        Literal["paper-unsup", "paper-sup", "article-zh"] | None,
        typer.Option(help="Settings from a paper's table.", rich_help_panel=_LOSS),
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns to train on: one of sentences, or anchor,positive[,negative ...] "
            "[chosen by their names, and reported].",
            metavar="A,B,C",
            rich_help_panel=_LOSS,
        ),
    ] = None
    loss: Annotated[
        LossName | None,
        typer.Option(help="Loss kind [two-view].", rich_help_panel=_LOSS, show_default=False),
    ] = None
    temperature: Annotated[
        float | None, typer.Option(help="Divisor of the cosines [0.05].", rich_help_panel=_LOSS)
    ] = None
    hard_negative_weight: Annotated[
        float | None,
        typer.Option(help="Weight of an example's own hard negatives [1].", rich_help_panel=_LOSS),
    ] = None
    scale_with_candidates: Annotated[
        int | None,
        typer.Option(
            metavar="N0", help="Scale the logits by log n / log N0 for n candidates.", rich_help_panel=_LOSS
        ),
    ] = None
    mask_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--mask-duplicates/--keep-duplicates",
            help="Whether equal texts are left out as negatives of each other [yes].",
            rich_help_panel=_LOSS,
        ),
    ] = None
    head: Annotated[
        bool | None,
        typer.Option(
            "--head/--no-head",
            help="Add a dense layer and tanh during training only [no].",
            rich_help_panel=_LOSS,
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name, the preset apart."""
        values = {name: value for name, value in vars(self).items() if value is not None and name != "preset"}
        if "columns" in values:
            values["columns"] = tuple(name.strip() for name in values["columns"].split(","))
        return values


def train_simcse(
    ctx: typer.Context,
    files: Files = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    comparing: LossOptions,
    training: TrainOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """Train an encoder on sentences, pairs or triplets, exactly at any batch size."""

    def read(common: Common) -> Recipe | None:
        from embedkit.training.settings import SimCSESettings, preset

        values = preset(comparing.preset) if comparing.preset is not None else None
        own = comparing.given() | given_seed(ctx, common)
        settings = training.settings(SimCSESettings, files, own=own, preset=values)
        if is_done(output, settings, training, common):
            return None
        examples, pairs = _read(settings, reading, common)
        from embedkit.training.simcse import SimCSE

        return SimCSE(settings, examples, pairs)

    train_together(output, read, training, common)


def _read(settings: SimCSESettings, reading: TextOptions, common: Common) -> tuple[Examples, list[Pair]]:
    from embedkit.data.text.examples import read_examples
    from embedkit.data.text.scored_pairs import read_pairs

    pairs = read_pairs(settings.eval) if settings.eval else []
    examples = read_examples(settings.inputs, reading.format(), settings.columns)
    over = passed_over(examples)
    for line in [*map(str, examples.choices), *([over] if over else [])]:
        if not common.quiet:
            say(line)
    return examples, pairs


app = command_app(
    train_simcse,
    epilog="Example: embedkit train-simcse corpus.txt --pooling cls --eval sts-dev.tsv -o model/",
)
