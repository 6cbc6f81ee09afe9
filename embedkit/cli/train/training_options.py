"""Define the options of training commands, and merge them into the settings of a run."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.command import require_text
from embedkit.cli.completion import complete_models
from embedkit.cli.console import input_names
from embedkit.cli.encoder_options import Pooling
from embedkit.cli.options import Common
from embedkit.cli.train.launch import launched
from embedkit.data.names import readable_name
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.training.run_settings import AnySettings


def _option(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, show_default=False)


def _chunk_size(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise UsageError(f"{value} is neither auto nor a positive number", where="--chunk-size")
    return value


@dataclass(frozen=True)
class ModelOptions:
    """Options for the model to train."""

    panel: ClassVar = "Model"

    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="minilm, e5, a folder, or a hub id.",
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None
    pooling: Annotated[
        Pooling | None, _option("How token vectors become one vector [as the model does].")
    ] = None
    dropout: Annotated[float | None, _option("Dropout of hidden layers [the model's].")] = None
    attention_dropout: Annotated[float | None, _option("Dropout of attention [the model's].")] = None
    lora: Annotated[
        int | None,
        _option("Train LoRA matrices of this rank next to frozen weights; they are merged at the end."),
    ] = None
    max_length: Annotated[int | None, _option("Tokens to read per text in training [the model's].")] = None


@dataclass(frozen=True)
class BatchOptions:
    """Options for the batches, and how they are divided."""

    panel: ClassVar = "Batches"

    batch_size: Annotated[int | None, _option("Examples per step, over all processes [64].")] = None
    chunk_size: Annotated[
        str | None,
        typer.Option(
            help="Examples per chunk, whose graph is in memory at a time; auto: as memory allows [auto].",
            callback=_chunk_size,
        ),
    ] = None
    accumulate: Annotated[int | None, _option("Batches whose gradients are summed before a step [1].")] = None


@dataclass(frozen=True)
class StepOptions:
    """Options for the steps of the optimizer."""

    panel: ClassVar = "Steps"

    epochs: Annotated[float | None, _option("Passes through the examples [1; pretrain: 3, with -m 1].")] = (
        None
    )
    max_steps: Annotated[int | None, _option("Maximum number of steps.")] = None
    learning_rate: Annotated[
        float | None,
        _option("Peak learning rate [3e-5; train-amsoftmax: 1e-4; pretrain: 5e-4, with -m 5e-5]."),
    ] = None
    schedule: Annotated[
        Literal["linear", "cosine", "constant"] | None,
        _option("Schedule of the learning rate [linear]."),
    ] = None
    warmup: Annotated[
        float | None,
        _option("Warm-up: a share of the steps below 1, or a number of steps [0; pretrain: 0.05]."),
    ] = None
    weight_decay: Annotated[float | None, _option("Decoupled weight decay [0; pretrain: 0.01].")] = None
    optimizer: Annotated[
        Literal["adamw", "adax", "exponentiated"] | None,
        _option("Optimizer; exponentiated: Adam that learns its step sizes [adamw]."),
    ] = None
    max_grad_norm: Annotated[float | None, _option("Clip gradients to this norm [1].")] = None


@dataclass(frozen=True)
class RunOptions:
    """Options for the evaluations, the machine and the output of a run."""

    panel: ClassVar = "Run"

    eval: Annotated[
        str | None,
        _option(
            "What to score during training, to keep the best checkpoint: a labelled file; for train-simcse "
            "also a retrieval set, which is a folder of queries, corpus and qrels as BEIR has it. pretrain "
            "keeps the checkpoint that predicts held-out texts best, and only reports these scores."
        ),
    ] = None
    eval_steps: Annotated[
        int | None, _option("Steps between evaluations and checkpoints [125; pretrain: 500].")
    ] = None
    patience: Annotated[int | None, _option("Stop after this many evaluations without improvement.")] = None
    log_steps: Annotated[int | None, _option("Steps between lines of log.jsonl [10].")] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        _option("Numeric precision of training [auto: bf16 where it is fast]."),
    ] = None
    device: Annotated[str | None, _option("Device: cpu, cuda, mps.")] = None
    config: Annotated[Path | None, _option("A train.toml, which every run writes.")] = None
    resume: Annotated[bool, _option("Resume an interrupted run.", "--resume")] = False
    seeds: Annotated[
        int | None,
        _option("Train this many times, report the mean and deviation, and keep the best model."),
    ] = None
    keep_seeds: Annotated[
        bool, _option("With --seeds: keep the model of each seed, as NAME.seedN.", "--keep-seeds")
    ] = False
    check_exact: Annotated[
        bool,
        _option(
            "Print the relative error of the accumulated gradient against the full-batch gradient.",
            "--check-exact",
        ),
    ] = False


@dataclass(frozen=True)
class TrainOptions:
    """Settings of a run; missing settings come from --config, then --preset, then the defaults."""

    model: ModelOptions
    batches: BatchOptions
    steps: StepOptions
    run: RunOptions

    def given(self) -> dict[str, Any]:
        """Return the settings given on the command line, by name."""
        commands = {"config", "resume", "seeds", "keep_seeds", "check_exact"}
        groups = (self.model, self.batches, self.steps, self.run)
        values = {
            name: value
            for group in groups
            for name, value in vars(group).items()
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
        from embedkit.training.run_settings import with_given
        from embedkit.training.toml import read_toml

        settings = kind(model=_default_model(kind))
        settings = with_given(settings, preset or {})
        if self.run.config is not None:
            settings = with_given(settings, read_toml(self.run.config, kind))
        settings = with_given(settings, {**own, **self.given()})
        if files or not settings.inputs:
            settings = dataclasses.replace(settings, inputs=tuple(input_names(files)))
        for name in settings.inputs:
            require_text(name, where=readable_name(name))  # train.toml, which reproduces the run, is UTF-8
        if "-" in settings.inputs and launched() > 1:
            raise UsageError("several processes cannot share standard input", where="-", hint="name a FILE")
        return settings

    def named_model(self, kind: type[AnySettings]) -> str | None:
        """Return the model that is named on the command line or in the file, None if neither names one."""
        from embedkit.training.toml import read_toml

        if self.model.model is not None or self.run.config is None:
            return self.model.model
        return read_toml(self.run.config, kind).get("model")


def _default_model(kind: type[AnySettings]) -> str:
    """Return the model of a run that names none; EMBEDKIT_MODEL if the command trains a model by default."""
    from embedkit.training.run_settings import RunSettings

    return kind.model if kind.model != RunSettings.model else os.environ.get("EMBEDKIT_MODEL") or kind.model


def given_seed(ctx: typer.Context, common: Common) -> dict[str, int]:
    """Return the seed if it is given on the command line; a given 0 also overrides the seed of a file."""
    source = ctx.get_parameter_source("seed")
    return {"seed": common.seed} if source is not None and source.name != "DEFAULT" else {}
