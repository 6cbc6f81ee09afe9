"""The log of a run: one line per logged step or evaluation, also passed to a callback."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embedkit.training.checkpoints import mark_checkpoint
from embedkit.training.preflight import about_warmup

LOG = "log.jsonl"

Watch = Callable[["Event"], None]


class Measure(NamedTuple):
    """The measure that a run is judged by while it trains."""

    key: str  # its name in the log is eval_KEY
    title: str
    of: str  # data that it is measured on
    falls: bool = False  # smaller is better
    factor: float = 100.0  # of printed values

    @property
    def logged(self) -> str:
        """The measure's name in the log."""
        return f"eval_{self.key}"

    def shown(self, value: float) -> str:
        """Return a value as it is printed."""
        return f"{self.factor * value:.2f}"


class Event(NamedTuple):
    """An event of a run: the step, the number of steps, and values by name."""

    step: int
    steps: int
    figures: dict[str, float]


NAMES = {  # the trainer's names, and the log's
    "loss": "loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm", "epoch": "epoch",
}  # fmt: skip
TIMINGS = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_loss"}


class Log(TrainerCallback):  # type: ignore[misc]
    """Writes `log.jsonl`, one line per logged step or evaluation, calls `watch`, and marks checkpoints."""

    def __init__(self, path: Path, texts: int, watch: Watch) -> None:
        self.path, self.texts, self.watch = path, texts, watch  # texts per batch, counting each view once
        self.started = self.since = time.monotonic()
        self.step_then = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Start the clock, and drop the lines of steps that a resumed run will repeat; warn of a warm-up that
        ends after the last step.
        """
        self.started = self.since = time.monotonic()
        self.step_then = state.global_step
        if state.is_world_process_zero:
            keep_until(self.path, state.global_step)
            about_warmup(args.get_warmup_steps(state.max_steps), state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Report a finished step."""
        if state.is_world_process_zero:
            self.watch(Event(state.global_step, state.max_steps, {}))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any],
        **kwargs: object,
    ) -> None:
        """Write a line."""
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        line: dict[str, float] = {NAMES[name]: float(logs[name]) for name in NAMES if name in logs}
        line |= {name: float(value) for name, value in logs.items() if name.startswith("eval_")}
        line = {name: value for name, value in line.items() if name not in TIMINGS}
        now = time.monotonic()
        if "loss" in logs:
            steps = state.global_step - self.step_then
            sentences = steps * self.texts * args.gradient_accumulation_steps
            line["sentences_per_second"] = round(sentences / max(now - self.since, 1e-9), 1)
        self.since, self.step_then = now, state.global_step
        if not line:
            return
        line["seconds"] = round(now - self.started, 2)
        with open(self.path, "ab") as file:
            file.write(orjson.dumps({"step": state.global_step, **line}) + b"\n")
        self.watch(Event(state.global_step, state.max_steps, line))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Mark the checkpoint as complete, once every process has written its files."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            mark_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def keep_until(log: Path, step: int) -> None:
    """Drop the lines of a log after a step, and a truncated line; at step 0, drop the whole log."""
    if step == 0 or not log.is_file():
        log.unlink(missing_ok=True)
        return
    kept = []
    for line in log.read_bytes().splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and orjson.loads(line)["step"] <= step:
                kept.append(line)
        except orjson.JSONDecodeError:
            break
    log.write_bytes(b"".join(kept))
