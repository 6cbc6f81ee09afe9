"""What training commands share: their options, and the progress of a run on a terminal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embedkit.cli.console import say
from embedkit.cli.options import Pooling
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.training.run_log import Event

_BATCH, _STEP, _MODEL, _RUN = "Batches", "Steps", "Model", "Run"


def _option(help: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)


def _chunk_size(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise UsageError(f"{value} is neither auto nor a positive number", where="--chunk-size")
    return value


@dataclass(frozen=True)
class TrainOptions:
    """Settings of a run; what is not given comes from --config, then --preset, then the defaults."""

    model: Annotated[str | None, _option("minilm, a folder, or a hub id.", _MODEL, "-m", "--model")] = None
    pooling: Annotated[Pooling | None, _option("How tokens become one vector [the model's way].", _MODEL)] = (
        None
    )
    dropout: Annotated[float | None, _option("Of hidden layers [the model's].", _MODEL)] = None
    attention_dropout: Annotated[float | None, _option("Of attention [the model's].", _MODEL)] = None
    max_length: Annotated[
        int | None, _option("Tokens read of a text while training [the model's].", _MODEL)
    ] = None
    columns: Annotated[str | None, _option("Columns of text, separated by commas [all of them].", _BATCH)] = (
        None
    )
    batch_size: Annotated[int | None, _option("Examples a step, over all processes [64].", _BATCH)] = None
    chunk_size: Annotated[
        str | None,
        typer.Option(
            help="Examples whose graph is kept at a time, or auto: as memory allows [auto].",
            rich_help_panel=_BATCH,
            callback=_chunk_size,
        ),
    ] = None
    accumulate: Annotated[int | None, _option("Batches whose gradients are summed [1].", _BATCH)] = None
    epochs: Annotated[float | None, _option("Times through the examples [1].", _STEP)] = None
    max_steps: Annotated[int | None, _option("Steps at most.", _STEP)] = None
    learning_rate: Annotated[float | None, _option("The highest [3e-5].", _STEP)] = None
    schedule: Annotated[
        Literal["linear", "cosine", "constant"] | None, _option("How it falls [linear].", _STEP)
    ] = None
    warmup: Annotated[
        float | None, _option("A share of the steps below 1, or a number of steps [0].", _STEP)
    ] = None
    weight_decay: Annotated[float | None, _option("Decoupled [0].", _STEP)] = None
    optimizer: Annotated[Literal["adamw", "adax"] | None, _option("[adamw]", _STEP)] = None
    max_grad_norm: Annotated[float | None, _option("Longer gradients are shortened [1].", _STEP)] = None
    eval: Annotated[
        str | None, _option("Labelled pairs, scored while training; the best checkpoint is kept.", _RUN)
    ] = None
    eval_steps: Annotated[int | None, _option("Steps between evaluations, and checkpoints [125].", _RUN)] = (
        None
    )
    patience: Annotated[int | None, _option("Stop after so many evaluations without a better one.", _RUN)] = (
        None
    )
    log_steps: Annotated[int | None, _option("Steps between lines of log.jsonl [10].", _RUN)] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None, _option("[auto: bf16 where it is fast]", _RUN)
    ] = None
    device: Annotated[str | None, _option("cpu, cuda, mps.", _RUN)] = None
    config: Annotated[Path | None, _option("A train.toml, as every run leaves one.", _RUN)] = None
    resume: Annotated[bool, _option("Go on where an interrupted run stopped.", _RUN, "--resume")] = False
    seeds: Annotated[
        int | None, _option("Train so many times, report mean and deviation, keep the best.", _RUN)
    ] = None
    keep_seeds: Annotated[
        bool, _option("With --seeds: keep the model of each, as NAME.seedN.", _RUN, "--keep-seeds")
    ] = False
    check_exact: Annotated[
        bool,
        _option("Print how far the accumulated gradient is from the whole one.", _RUN, "--check-exact"),
    ] = False

    def given(self) -> dict[str, Any]:
        """Return the settings that were given on the command line, by name."""
        commands = {"config", "resume", "seeds", "keep_seeds", "check_exact"}
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and name not in commands
        }
        if "chunk_size" in values:
            values["chunk_size"] = None if values["chunk_size"] == "auto" else int(values["chunk_size"])
        if "columns" in values:
            values["columns"] = tuple(name.strip() for name in values["columns"].split(","))
        return values


class TrainingProgress:
    """Draws steps, loss, speed and time left on a terminal; says each evaluation."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.bar, self.task = quiet, None, None
        self.shown: dict[str, float] = {}

    @contextmanager
    def drawn(self) -> Iterator[TrainingProgress]:
        """Draw while the block runs."""
        if self.quiet or not sys.stderr.isatty():
            yield self
            return
        with _bar() as self.bar:
            yield self
        self.bar = self.task = None

    def watch(self, event: Event) -> None:
        """Show what happened."""
        self.shown |= event.figures
        if self.bar is not None:
            self._draw(event)
        if "eval_spearman" in event.figures and not self.quiet:
            score = f"{100 * event.figures['eval_spearman']:.2f}"
            say(f"step {event.step:,} of {event.steps:,}: Spearman {score} on the labelled pairs")

    def _draw(self, event: Event) -> None:
        assert self.bar is not None
        if self.task is None:
            self.task = self.bar.add_task("", total=event.steps, loss=float("nan"), speed=0.0)
        loss, speed = self.shown.get("loss", float("nan")), self.shown.get("sentences_per_second", 0.0)
        self.bar.update(self.task, completed=event.step, total=event.steps, loss=loss, speed=speed)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}, {task.fields[speed]:,.0f} sentences/s"),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
