"""The steps common to training commands: a recipe supplies data and an objective, a run trains a model."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from accelerate import PartialState
from datasets import Dataset

from embedkit.data.identity import Identity
from embedkit.training.advice import about_resumed
from embedkit.training.checkpoints import last_checkpoint, processes_of
from embedkit.training.chunking import ChunkPlan, plan, saved_bytes_per_token
from embedkit.training.distributed import join, one_fate
from embedkit.training.gradcache import Features, cut
from embedkit.training.input_digests import Source, to_json
from embedkit.training.lora import add_lora, merge_lora
from embedkit.training.model import Dropout, bf16_is_fast, load_trainable
from embedkit.training.objective import Made, Objective
from embedkit.training.processes.agreement import agreed, require_same_rows
from embedkit.training.run_folder import BASE, RunFolder, kept_settings, require_base, unfinished
from embedkit.training.run_log import Measure, Watch
from embedkit.training.settings import RunSettings, located
from embedkit.training.trainer import Additions, make_trainer, on_processor, quiet_trainer


class Trained(NamedTuple):
    """A finished run: its model, and the values that it was judged by, if any."""

    path: Path
    steps: int
    seconds: float
    measure: str  # the measure of `before` and `best`
    before: float | None  # value of the model it started from
    best: float | None  # value of the kept checkpoint
    best_step: int | None
    found: dict[str, Any]  # values that the run computed from its data
    plan: ChunkPlan

    def figures(self) -> dict[str, Any]:
        """Return plain values without the path."""
        values = {**self._asdict(), **self.plan._asdict(), **self.found, "seconds": round(self.seconds, 2)}
        return {name: value for name, value in values.items() if name not in ("path", "plan", "found")}

    @classmethod
    def from_figures(cls, path: Path, figures: dict[str, Any]) -> Trained:
        """Return the run with the values that `figures` returned."""
        own = {name: figures[name] for name in cls._fields if name not in ("path", "plan", "found")}
        known = {*own, *ChunkPlan._fields}
        found = {name: value for name, value in figures.items() if name not in known}
        return cls(path=path, found=found, plan=ChunkPlan(figures["chunk_tokens"], figures["passes"]), **own)


AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")


@dataclass(frozen=True)
class Recipe(ABC):
    """A command's settings and data, and the steps specific to it."""

    settings: Any
    command: ClassVar[str]
    measure: ClassVar[Measure]

    @abstractmethod
    def require(self, processes: int) -> None:
        """Raise DataError or UsageError for data that cannot be trained on, before a model is loaded."""

    @abstractmethod
    def sources(self) -> list[Source]:
        """Return the data that decide the run, with digests of their content."""

    @abstractmethod
    def advise(self) -> None:
        """Warn about likely mistakes in the data."""

    @abstractmethod
    def make(self, base: Path, *, resumed: bool) -> Made:
        """Load the model and decide how it is trained; a `resumed` one is loaded from a checkpoint later."""

    @abstractmethod
    def dataset(self) -> Dataset:
        """Return the training rows."""

    @abstractmethod
    def batch(self, objective: Any, rows: int) -> tuple[list[Features], torch.Tensor | None]:
        """Return the first rows in the form that the objective takes."""

    @abstractmethod
    def evaluator(self, made: Made) -> Any:
        """Return the evaluator that scores the model while it trains, or None."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return the model card's rows about data and loss."""

    @abstractmethod
    def story(self) -> dict[str, Any]:
        """Return the entries about the data in `embedkit.json`."""

    def additions(self, made: Made, watch: Watch) -> Additions:
        """Return additional settings of the trainer."""
        return Additions()

    def found(self, objective: Any) -> dict[str, Any]:
        """Return values that the run computed from its data."""
        return {}

    def write(self, folder: Path, identity: Identity, made: Made) -> None:  # noqa: B027 (most write none)
        """Write additional files into the trained folder, whose encoder has `identity`."""

    def with_settings(self: AnyRecipe, **changed: Any) -> AnyRecipe:
        """Return the recipe with some settings replaced."""
        return replace(self, settings=replace(self.settings, **changed))


def train(
    path: str | Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Train by a recipe and write a sentence-transformers folder to `path`; `watch` is called at every step.

    With an evaluator, the best checkpoint is kept. Raises DataError or UsageError for data that cannot be
    trained on, before a model is loaded.
    """
    quiet_trainer()
    join()
    state = PartialState(cpu=on_processor(recipe.settings))
    with one_fate():
        recipe.require(state.num_processes)
    if state.is_main_process:
        recipe.advise()
    path = Path(path)
    folder = unfinished(path)
    run: RunFolder | None = None
    try:
        with one_fate():
            if state.is_main_process:
                run = RunFolder(path, recipe.settings, resume=resume, force=force)
                run.prepare(recipe.settings, recipe.sources())
        with one_fate():
            require_base(folder)
        recipe = replace(recipe, settings=kept_settings(folder, recipe.settings))
        trained, made = _train(folder, recipe, run, watch)
        with one_fate():
            if run is not None:
                finish(run, recipe, trained, made)
        return trained
    finally:
        if run is not None:
            run.close()


def _train(folder: Path, recipe: Recipe, run: RunFolder | None, watch: Watch) -> tuple[Trained, Made]:
    started = time.monotonic()
    checkpoint = last_checkpoint(folder)
    with one_fate():
        made = recipe.make(folder / BASE, resumed=checkpoint is not None)
    made, rows = agreed(made), recipe.dataset()
    require_same_rows(rows)
    if run is not None:
        if checkpoint is not None:
            about_resumed(processes_of(checkpoint))
        run.keep(made.settings, recipe.command)
    measure = recipe.measure.logged
    trainer = make_trainer(
        made.objective, rows, made.settings, folder,
        evaluator=recipe.evaluator(made), measure=measure, bf16=made.bf16, watch=watch,
        additions=recipe.additions(made, watch),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    made.objective.model = trainer.model  # without the wrapper of several processes
    if made.settings.lora is not None:
        merge_lora(trainer.model)
    scores = [line[measure] for line in trainer.state.log_history if measure in line]
    return Trained(
        path=folder.with_name(folder.name.removesuffix(".partial")),
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        measure=recipe.measure.title,
        before=scores[0] if scores else None,
        best=trainer.state.best_metric,
        best_step=trainer.state.best_global_step if scores else None,
        found=recipe.found(made.objective),
        plan=ChunkPlan(made.objective.chunk_tokens, made.objective.passes),
    ), made


def finish(run: RunFolder, recipe: Recipe, trained: Trained, made: Made) -> None:
    """Put the trained model in place, with its provenance and its card."""
    settings = {name: value for name, value in asdict(located(made.settings)).items() if value is not None}
    made_by = {"made by": f"embedkit {recipe.command}", **recipe.story()}
    made_by["sources"] = to_json(recipe.sources())
    story = {**made_by, "figures": trained.figures(), "settings": settings}
    batch = made.settings.batch_size * made.settings.accumulate
    facts = recipe.facts() | {"batches": f"{trained.steps:,} steps of {batch:,} examples"}
    if trained.before is not None and trained.best is not None:
        before, best = (f"{100 * value:.2f}" for value in (trained.before, trained.best))
        facts[f"{trained.measure} {recipe.measure.of} by which it was chosen"] = (
            f"{before} before, {best} at step {trained.best_step}"
        )
    run.finish(
        made.objective.model, story, facts, beside=lambda path, identity: recipe.write(path, identity, made)
    )


def load_model(base: Path, settings: RunSettings) -> tuple[Any, Dropout, bool]:
    """Load the model to start from; returns it, its dropout, and whether to compute in bf16."""
    torch.manual_seed(settings.seed)
    model, dropout = load_trainable(base, settings)
    if settings.lora is not None:
        add_lora(model, settings.lora)
    return (
        model,
        dropout,
        settings.precision == "bf16" or (settings.precision == "auto" and bf16_is_fast(model.device)),
    )


def settle_plan(
    objective: Objective, settings: RunSettings, sample: Callable[[], Features], rows: int, *, bf16: bool
) -> ChunkPlan:
    """Compute how batches are cut, from the tokens of a sample of `rows` examples; the objective keeps it."""
    if settings.chunk_tokens is not None and settings.passes is not None:
        planned = ChunkPlan(settings.chunk_tokens, settings.passes)
    else:
        planned = _measured_plan(objective, settings, sample(), rows, bf16=bf16)
    objective.chunk_tokens, objective.passes = planned
    return planned


def _measured_plan(
    objective: Objective, settings: RunSettings, features: Features, rows: int, *, bf16: bool
) -> ChunkPlan:
    device: torch.device = objective.model.device

    def measured() -> int:
        chunk = cut(features, 2048)[0]
        with torch.random.fork_rng(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return saved_bytes_per_token(objective.encode, chunk)

    return plan(
        device,
        batch_size=settings.batch_size // PartialState().num_processes,
        chunk_size=settings.chunk_size,
        tokens=float(features["attention_mask"].sum()) / rows,
        bytes_per_token=measured,
    )
