"""The log of a run: a line a logged step or evaluation, told to whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from accelerate import PartialState
from transformers import TrainerCallback

from embedkit.training.checkpoints import mark_whole

LOG = "log.jsonl"

Watch = Callable[["Event"], None]


class Measure(NamedTuple):
    """What a run is judged by while it trains, larger for better."""

    key: str  # in the log: eval_KEY
    title: str
    of: str  # what it is measured on

    @property
    def logged(self) -> str:
        """Its name in the log."""
        return f"eval_{self.key}"


class Event(NamedTuple):
    """Something that happened: at which step of how many, and figures by name."""

    step: int
    steps: int
    figures: dict[str, float]


NAMES = {  # of the trainer's figures in the log
    "loss": "loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm", "epoch": "epoch",
}  # fmt: skip
TIMINGS = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_loss"}


class Log(TrainerCallback):  # type: ignore[misc]
    """Writes `log.jsonl`, a line a logged step or evaluation, tells `watch`, and marks whole checkpoints."""

    def __init__(self, path: Path, texts: int, watch: Watch) -> None:
        self.path, self.texts, self.watch = path, texts, watch  # texts of a batch, a view counted once
        self.started = self.since = time.monotonic()
        self.step_then = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock; lines of steps that a resumed run does again are dropped."""
        self.started = self.since = time.monotonic()
        self.step_then = state.global_step
        if state.is_world_process_zero:
            keep_until(self.path, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell that a step is done."""
        if state.is_world_process_zero:
            self.watch(Event(state.global_step, state.max_steps, {}))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
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

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint as whole, when every process has written its part."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def keep_until(log: Path, step: int) -> None:
    """Drop the lines of a log behind a step, and one that was cut short; at step 0 all of them."""
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
