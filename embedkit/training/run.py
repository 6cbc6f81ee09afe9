"""A training run: start it or resume it, train, save the model.

In several processes, all of them run this code. The first one alone writes the folder of the run.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

from accelerate import PartialState
from datasets import Dataset

from embedkit.data.text.display import counted
from embedkit.training.checkpoints import last_checkpoint, processes_of
from embedkit.training.distributed import is_first, join, one_fate
from embedkit.training.gather import processes
from embedkit.training.input_digests import to_json
from embedkit.training.lora import merge_lora
from embedkit.training.preflight import about_plan, about_resumed, about_run
from embedkit.training.processes.consensus import agreed, require_same_rows
from embedkit.training.recipe import Recipe
from embedkit.training.run_folder import BASE, RunFolder, kept_settings, require_base, unfinished
from embedkit.training.run_log import Watch
from embedkit.training.run_settings import located
from embedkit.training.start import Start, chunk_plan, load_model
from embedkit.training.trained import Trained
from embedkit.training.trainer import make_trainer, on_processor, quiet_trainer


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
    PartialState(cpu=on_processor(recipe.settings))
    with one_fate():
        recipe.check(processes())
    if is_first():
        recipe.advise()
    path = Path(path)
    folder = unfinished(path)
    run: RunFolder | None = None  # in the first process
    try:
        with one_fate():
            if is_first():
                run = RunFolder(path, recipe.settings, resume=resume, force=force)
                run.prepare(recipe.settings, recipe.sources(), recipe.base)
        with one_fate():
            require_base(folder)
        recipe = replace(recipe, settings=kept_settings(folder, recipe.settings))
        trained, start = _train(path, recipe, run, watch)
        with one_fate():
            if run is not None:
                _save(run, recipe, trained, start)
        return trained
    finally:
        if run is not None:
            run.close()


def _train(path: Path, recipe: Recipe, run: RunFolder | None, watch: Watch) -> tuple[Trained, Start]:
    """Train in the unfinished run's folder, from its last checkpoint if it has one."""
    started, folder = time.monotonic(), unfinished(path)
    checkpoint = last_checkpoint(folder)
    rows = recipe.rows()
    require_same_rows(rows)
    with one_fate():
        if run is not None:
            recipe.prepare(folder)
    start = start_of(recipe, rows, folder / BASE, resumed=checkpoint is not None)
    if run is not None:
        if checkpoint is not None:
            about_resumed(processes_of(checkpoint))
        run.keep(start.settings, recipe.command)
    measure, additions = recipe.measure, recipe.additions(start, watch)
    trainer = make_trainer(start, rows, additions, folder, measure=measure, watch=watch)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if start.settings.lora is not None:
        merge_lora(start.model)
    scores = [line[measure.logged] for line in trainer.state.log_history if measure.logged in line]
    return Trained(
        path=path,
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        measure=measure.title,
        factor=measure.factor,
        before=scores[0] if scores else None,
        best=trainer.state.best_metric,
        best_step=trainer.state.best_global_step if scores else None,
        found=start.objective.figures(),
        plan=start.objective.plan,
    ), start


def start_of(recipe: Recipe, rows: Dataset, base: Path, *, resumed: bool) -> Start:
    """Load the model, make the objective around it, and decide how all processes cut their batches."""
    settings = recipe.settings
    with one_fate():
        loaded = load_model(base, settings)
        objective = recipe.objective(loaded, resumed=resumed)
        plan = chunk_plan(objective, rows, settings, bf16=loaded.bf16)
        about_run(loaded.model, loaded.dropout, plan, bf16=loaded.bf16)
        about_plan(plan, settings)
    plan, bf16 = agreed(plan, bf16=loaded.bf16)
    objective.cut_by(plan)
    return Start(loaded.model, objective, bf16, replace(settings, **plan._asdict()))


def _save(run: RunFolder, recipe: Recipe, trained: Trained, start: Start) -> None:
    """Put the trained model in place, with its provenance and its card."""
    settings = {name: value for name, value in asdict(located(start.settings)).items() if value is not None}
    provenance = recipe.provenance()
    story = {
        "made by": f"embedkit {recipe.command}", **provenance.entries, "sources": to_json(recipe.sources()),
        "figures": trained.figures(), "settings": settings,
    }  # fmt: skip
    batch = start.settings.batch_size * start.settings.accumulate
    card = {**provenance.card, "batches": f"{counted(trained.steps, 'step')} of {counted(batch, 'example')}"}
    if trained.before is not None and trained.best is not None:
        before, best = map(recipe.measure.shown, (trained.before, trained.best))
        card[f"{trained.measure} {recipe.measure.of} by which it was chosen"] = (
            f"{before} before, {best} at step {trained.best_step}"
        )
    run.finish(start.model, story, card, write=lambda folder, identity: recipe.write(folder, identity, start))
