"""Define the options of training commands, and run a training from the first check to the closing line."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embedkit.cli.command import require_text
from embedkit.cli.completion import complete_models
from embedkit.cli.console import input_names, say
from embedkit.cli.options import Common, Pooling
from embedkit.cli.train.launch import first_speaks, launched, one_fate, one_voice
from embedkit.cli.train.progress import TrainingProgress
from embedkit.data.names import readable_name
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.training.recipe import Recipe
    from embedkit.training.settings import AnySettings, RunSettings

_BATCH, _STEP, _MODEL, _RUN = "Batches", "Steps", "Model", "Run"


def _option(help: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)


def _chunk_size(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise UsageError(f"{value} is neither auto nor a positive number", where="--chunk-size")
    return value


@dataclass(frozen=True)
class TrainOptions:
    """Settings of a run; missing settings come from --config, then --preset, then the defaults."""

    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="minilm, a folder, or a hub id.",
            rich_help_panel=_MODEL,
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None
    pooling: Annotated[
        Pooling | None, _option("How token vectors become one vector [as the model does].", _MODEL)
    ] = None
    dropout: Annotated[float | None, _option("Dropout of hidden layers [the model's].", _MODEL)] = None
    attention_dropout: Annotated[float | None, _option("Dropout of attention [the model's].", _MODEL)] = None
    lora: Annotated[
        int | None,
        _option(
            "Train LoRA matrices of this rank next to frozen weights; they are merged at the end.", _MODEL
        ),
    ] = None
    max_length: Annotated[
        int | None, _option("Tokens to read per text in training [the model's].", _MODEL)
    ] = None
    batch_size: Annotated[int | None, _option("Examples per step, over all processes [64].", _BATCH)] = None
    chunk_size: Annotated[
        str | None,
        typer.Option(
            help="Examples per chunk, whose graph is in memory at a time; auto: as memory allows [auto].",
            rich_help_panel=_BATCH,
            callback=_chunk_size,
        ),
    ] = None
    accumulate: Annotated[
        int | None, _option("Batches whose gradients are summed before a step [1].", _BATCH)
    ] = None
    epochs: Annotated[float | None, _option("Passes through the examples [1].", _STEP)] = None
    max_steps: Annotated[int | None, _option("Maximum number of steps.", _STEP)] = None
    learning_rate: Annotated[
        float | None, _option("Peak learning rate [3e-5; train-amsoftmax: 1e-4].", _STEP)
    ] = None
    schedule: Annotated[
        Literal["linear", "cosine", "constant"] | None,
        _option("Schedule of the learning rate [linear].", _STEP),
    ] = None
    warmup: Annotated[
        float | None, _option("Warm-up: a share of the steps below 1, or a number of steps [0].", _STEP)
    ] = None
    weight_decay: Annotated[float | None, _option("Decoupled weight decay [0].", _STEP)] = None
    optimizer: Annotated[Literal["adamw", "adax"] | None, _option("Optimizer [adamw].", _STEP)] = None
    max_grad_norm: Annotated[float | None, _option("Clip gradients to this norm [1].", _STEP)] = None
    eval: Annotated[
        str | None, _option("Labelled file to score during training; the best checkpoint is kept.", _RUN)
    ] = None
    eval_steps: Annotated[int | None, _option("Steps between evaluations and checkpoints [125].", _RUN)] = (
        None
    )
    patience: Annotated[
        int | None, _option("Stop after this many evaluations without improvement.", _RUN)
    ] = None
    log_steps: Annotated[int | None, _option("Steps between lines of log.jsonl [10].", _RUN)] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        _option("Numeric precision of training [auto: bf16 where it is fast].", _RUN),
    ] = None
    device: Annotated[str | None, _option("Device: cpu, cuda, mps.", _RUN)] = None
    config: Annotated[Path | None, _option("A train.toml, which every run writes.", _RUN)] = None
    resume: Annotated[bool, _option("Resume an interrupted run.", _RUN, "--resume")] = False
    seeds: Annotated[
        int | None,
        _option("Train this many times, report the mean and deviation, and keep the best model.", _RUN),
    ] = None
    keep_seeds: Annotated[
        bool, _option("With --seeds: keep the model of each seed, as NAME.seedN.", _RUN, "--keep-seeds")
    ] = False
    check_exact: Annotated[
        bool,
        _option(
            "Print the relative error of the accumulated gradient against the full-batch gradient.",
            _RUN,
            "--check-exact",
        ),
    ] = False

    def given(self) -> dict[str, Any]:
        """Return the settings given on the command line, by name."""
        commands = {"config", "resume", "seeds", "keep_seeds", "check_exact"}
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and name not in commands
        }
        if "chunk_size" in values:
            values["chunk_size"] = None if values["chunk_size"] == "auto" else int(values["chunk_size"])
        return values

    def settings(
        self,
        kind: type[AnySettings],
        files: list[str] | None,
        *,
        own: dict[str, Any],
        preset: dict[str, Any] | None = None,
    ) -> AnySettings:
        """Return the settings, merged in this order: defaults, preset, file, `own`, command line."""
        from embedkit.training.settings import with_given
        from embedkit.training.toml import read_toml

        settings = kind(model=os.environ.get("EMBEDKIT_MODEL") or kind.model)
        settings = with_given(settings, preset or {})
        if self.config is not None:
            settings = with_given(settings, read_toml(self.config, kind))
        settings = with_given(settings, {**own, **self.given()})
        if files or not settings.inputs:
            settings = dataclasses.replace(settings, inputs=tuple(input_names(files)))
        for name in settings.inputs:
            require_text(name, where=readable_name(name))  # train.toml, which reproduces the run, is UTF-8
        if "-" in settings.inputs and launched() > 1:
            raise UsageError("several processes cannot share standard input", where="-", hint="name a FILE")
        return settings


def given_seed(ctx: typer.Context, common: Common) -> dict[str, int]:
    """Return the seed if it is given on the command line; a given 0 also overrides the seed of a file."""
    source = ctx.get_parameter_source("seed")
    return {"seed": common.seed} if source is not None and source.name != "DEFAULT" else {}


def train_together(
    output: Path | None,
    read: Callable[[Common], Recipe | None],
    training: TrainOptions,
    common: Common,
) -> None:
    """Run the recipe that `read` returns, in every process of a launch; do nothing if it returns None."""
    common = first_speaks(common)
    with one_voice():
        with one_fate():
            recipe = read(common)
        if recipe is not None:
            run_recipe(output, recipe, training, common)


def is_done(output: Path | None, settings: RunSettings, training: TrainOptions, common: Common) -> bool:
    """Return True if the run is finished already; raise an error, before any input is read, if the output
    cannot be written.
    """
    if output is None and not training.check_exact:
        raise UsageError("is missing", where="--output", hint="name a folder with -o")
    if training.check_exact and launched() > 1:
        raise UsageError("runs in one process only", where="--check-exact", hint="omit the launcher")
    if output is None:
        return False
    from embedkit.training.run_folder import is_trained, refuse_run

    if training.resume and is_trained(output):
        if not common.quiet:
            say(f"{output}: is already trained")
        return True
    refuse_run(output, settings.files, resume=training.resume, force=common.force)
    return False


def run_recipe(output: Path | None, recipe: Recipe, training: TrainOptions, common: Common) -> None:
    """Check the gradient if `--check-exact` is given, and train if there is an output."""
    if training.check_exact:
        from embedkit.training.exactness import check_exact

        error = check_exact(recipe)
        if common.json:
            print(json.dumps({"gradient_error": error}))
        else:
            print(f"relative error of the accumulated gradient, float32: {error:.1e}")
    if output is not None:
        _train(output, recipe, training, common)


def _train(output: Path, recipe: Recipe, training: TrainOptions, common: Common) -> None:
    from embedkit.training.seeds import train_seeds

    how: dict[str, Any] = {"resume": training.resume, "force": common.force}
    how |= {"count": 1 if training.seeds is None else training.seeds, "keep_all": training.keep_seeds}
    progress = TrainingProgress(recipe.measure, quiet=common.quiet)
    with progress.drawn():
        runs = train_seeds(output, recipe, watch=progress.watch, **how)
    if common.json:
        print(json.dumps(runs.to_json()))
    elif not common.quiet:
        for line in runs.lines():
            say(line)
