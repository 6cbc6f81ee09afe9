"""Show the progress of a training run on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from embedkit.cli.console import say

if TYPE_CHECKING:
    from embedkit.training.run_log import Event, Measure


class TrainingProgress:
    """The display of steps, loss, speed and remaining time on a terminal; it prints a line per evaluation."""

    def __init__(self, measure: Measure, *, quiet: bool) -> None:
        self.measure = measure
        self.quiet, self.bar, self.task = quiet, None, None
        self.shown: dict[str, float] = {}

    @contextmanager
    def drawn(self) -> Iterator[TrainingProgress]:
        """Draw the progress bar while the block runs."""
        if self.quiet or not sys.stderr.isatty():
            yield self
            return
        with _bar() as self.bar:
            yield self
        self.bar = self.task = None

    def watch(self, event: Event) -> None:
        """Show an event of the run."""
        self.shown |= event.figures
        if self.bar is not None:
            self._draw(event)
        if self.measure.logged in event.figures and not self.quiet:
            value = self.measure.shown(event.figures[self.measure.logged])
            score = f"{self.measure.title} {value} {self.measure.of}"
            say(f"step {event.step:,} of {event.steps:,}: {score}")

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
