"""`embedkit train-simcse`: sentences, pairs or triplets train an encoder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embedkit.cli.console import input_names, passed_over, relay_warnings, say
from embedkit.cli.options import Common, Files, TextOptions
from embedkit.cli.spread import command_app
from embedkit.cli.training import TrainingProgress, TrainOptions
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.examples import Examples
    from embedkit.data.pairs import Pair
    from embedkit.training.settings import SimCSESettings

OUTPUT = "The trained model: a sentence-transformers folder."
_LOSS = "Loss"


@dataclass(frozen=True)
class LossOptions:
    """What is compared, and how sharply."""

    preset: Annotated[
        Literal["paper-unsup", "paper-sup", "article-zh"] | None,
        typer.Option(help="The settings of a paper's table.", rich_help_panel=_LOSS),
    ] = None
    loss: Annotated[
        Literal["two-view", "nt-xent"] | None,
        typer.Option(help="[two-view]", rich_help_panel=_LOSS, show_default=False),
    ] = None
    temperature: Annotated[
        float | None, typer.Option(help="Cosines are divided by it [0.05].", rich_help_panel=_LOSS)
    ] = None
    hard_negative_weight: Annotated[
        float | None,
        typer.Option(help="Weight of an example's own hard negatives [1].", rich_help_panel=_LOSS),
    ] = None
    scale_with_candidates: Annotated[
        int | None,
        typer.Option(
            metavar="N0", help="Scale logits by log n / log N0 at n candidates.", rich_help_panel=_LOSS
        ),
    ] = None
    mask_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--mask-duplicates/--keep-duplicates",
            help="Whether equal texts are no negatives of each other [yes].",
            rich_help_panel=_LOSS,
        ),
    ] = None
    head: Annotated[
        bool | None,
        typer.Option(
            "--head/--no-head", help="A dense layer and tanh, in training only [no].", rich_help_panel=_LOSS
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name, the preset apart."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "preset"}


def train_simcse(
    files: Files = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    comparing: LossOptions,
    training: TrainOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """Train an encoder on sentences, pairs or triplets, exactly at any batch size."""
    first = os.environ.get("RANK", "0") == "0"  # of several processes (torchrun) the first one speaks
    common = common if first else replace(common, quiet=True, json=False)
    relay_warnings(common.quiet, notes=True)
    settings = _settings(files, comparing, training, common)
    if output is None and not training.check_exact:
        raise UsageError("names no folder", where="--output", hint="name it with -o")
    if output is not None and first:
        from embedkit.training.runs import is_trained, refuse_run

        if training.resume and is_trained(output):
            if not common.quiet:
                say(f"{output}: is trained already")
            return
        refuse_run(output, resume=training.resume, force=common.force)
    examples, pairs = _read(settings, reading, common)
    if training.check_exact:
        _check_exact(settings, examples, common)
    if output is not None:
        _train(output, settings, examples, pairs, training, common)


def _settings(
    files: list[str] | None, comparing: LossOptions, training: TrainOptions, common: Common
) -> SimCSESettings:
    """Put settings together: defaults, then the preset, then the file, then the command line."""
    from embedkit.training.settings import SimCSESettings, preset, read_toml, with_given

    settings = SimCSESettings(model=os.environ.get("EMBEDKIT_MODEL") or SimCSESettings.model)
    if comparing.preset is not None:
        settings = with_given(settings, preset(comparing.preset))
    if training.config is not None:
        settings = with_given(settings, read_toml(training.config, SimCSESettings))
    given = {**comparing.given(), **training.given()}
    if common.seed:
        given["seed"] = common.seed
    settings = with_given(settings, given)
    if files or not settings.inputs:
        settings = replace(settings, inputs=tuple(input_names(files)))
    return settings


def _read(settings: SimCSESettings, reading: TextOptions, common: Common) -> tuple[Examples, list[Pair]]:
    from embedkit.data.examples import read_examples
    from embedkit.data.pairs import read_pairs

    pairs = read_pairs(settings.eval) if settings.eval else []
    examples = read_examples(settings.inputs, reading.format(), settings.columns)
    if (line := passed_over(examples)) and not common.quiet:
        say(line)
    return examples, pairs


def _check_exact(settings: SimCSESettings, examples: Examples, common: Common) -> None:
    from embedkit.training.exactness import check_exact

    error = check_exact(settings, examples)
    if common.json:
        print(json.dumps({"gradient_error": error}))
    else:
        print(f"relative error of the accumulated gradient, float32: {error:.1e}")


def _train(
    output: Path,
    settings: SimCSESettings,
    examples: Examples,
    pairs: list[Pair],
    training: TrainOptions,
    common: Common,
) -> None:
    from embedkit.training.seeds import train_seeds

    how: dict[str, Any] = {"resume": training.resume, "force": common.force}
    how |= {"count": 1 if training.seeds is None else training.seeds, "keep_all": training.keep_seeds}
    progress = TrainingProgress(quiet=common.quiet)
    with progress.drawn():
        runs = train_seeds(output, settings, examples, pairs, watch=progress.watch, **how)
    if common.json:
        print(json.dumps(runs.to_json()))
    elif not common.quiet:
        for line in runs.lines():
            say(line)


app = command_app(
    train_simcse,
    epilog="Example: embedkit train-simcse corpus.txt --pooling cls --eval sts-dev.tsv -o model/",
)
