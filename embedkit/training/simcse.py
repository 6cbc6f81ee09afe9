"""SimCSE: sentences, pairs or triplets make an encoder better at telling sentences apart (Gao, Yao and Chen
2021, arXiv 2104.08821; kexue.fm 8348).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from datasets import Dataset

from embedkit.data.examples import Examples
from embedkit.data.pairs import Pair
from embedkit.training.advice import about_data, about_dropout, about_plan, about_run, require_data
from embedkit.training.gradcache import Features, cut
from embedkit.training.memory import Plan, plan, saved_bytes_per_token
from embedkit.training.model import Head, bf16_is_fast, load_trainable
from embedkit.training.objective import Contrastive, stacked
from embedkit.training.run_log import METRIC, Watch
from embedkit.training.runs import RunFolder, kept_settings
from embedkit.training.scoring import PairScore
from embedkit.training.settings import SimCSESettings, located
from embedkit.training.trainer import last_checkpoint, make_trainer, on_processor, quiet_trainer

_SAMPLE = 512  # examples that are tokenised to learn how long they are


class Trained(NamedTuple):
    """A finished run: its model, and the figures on labelled pairs, if there were any."""

    path: Path
    steps: int
    seconds: float
    before: float | None  # Spearman of the model it started from
    best: float | None  # Spearman of the checkpoint that was kept
    best_step: int | None
    plan: Plan

    def figures(self) -> dict[str, Any]:
        """Return plain values, all but the path."""
        values = {**self._asdict(), **self.plan._asdict(), "seconds": round(self.seconds, 2)}
        return {name: value for name, value in values.items() if name not in ("path", "plan")}

    @classmethod
    def from_figures(cls, path: Path, figures: dict[str, Any]) -> Trained:
        """Read what `figures` gave."""
        own = {name: figures[name] for name in cls._fields if name not in ("path", "plan")}
        return cls(path=path, plan=Plan(figures["chunk_tokens"], figures["passes"]), **own)


def train_simcse(
    path: str | Path,
    settings: SimCSESettings,
    examples: Examples,
    pairs: Sequence[Pair] = (),
    *,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Trained:
    """Train `settings.model` on examples and write a sentence-transformers folder to `path`.

    One column of examples are sentences, each its own positive by dropout; else columns are anchor, positive
    and hard negatives. `pairs` are scored every `eval_steps` steps and the best checkpoint is kept. `watch`
    sees every step. Raises DataError or UsageError for data that cannot train, before a model is loaded.
    """
    quiet_trainer()
    state = PartialState(cpu=on_processor(settings))
    require_data(examples, pairs, settings, state.num_processes)
    if state.is_main_process:
        about_data(examples, pairs, settings)
    path = Path(path)
    folder = path.with_name(f"{path.name}.partial")
    run = RunFolder(path, resume=resume, force=force) if state.is_main_process else None
    try:
        if run is not None:
            run.prepare(settings)
        state.wait_for_everyone()
        settings = kept_settings(folder, settings)
        trained, model = _train(folder, settings, examples, pairs, run, watch)
        if run is not None:
            run.finish(model, _story(trained, settings, examples), _facts(trained, settings, examples))
        state.wait_for_everyone()
        return trained
    finally:
        if run is not None:
            run.close()


def _train(
    folder: Path,
    settings: SimCSESettings,
    examples: Examples,
    pairs: Sequence[Pair],
    run: RunFolder | None,
    watch: Watch,
) -> tuple[Trained, Any]:
    started = time.monotonic()
    objective, bf16, settings = make_objective(folder / "base", settings, examples)
    if run is not None:
        run.keep(settings, "train-simcse")
    evaluator = PairScore(pairs, chunk_tokens=objective.chunk_tokens, bf16=bf16) if pairs else None
    trainer = make_trainer(
        objective, as_dataset(examples), settings, folder,
        evaluator=evaluator, bf16=bf16, watch=watch,
    )  # fmt: skip
    checkpoint = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    scores = [line[METRIC] for line in trainer.state.log_history if METRIC in line]
    return Trained(
        path=folder.with_name(folder.name.removesuffix(".partial")),
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        before=scores[0] if scores else None,
        best=trainer.state.best_metric,
        best_step=trainer.state.best_global_step if scores else None,
        plan=Plan(objective.chunk_tokens, objective.passes),
    ), trainer.model


def make_objective(
    base: Path, settings: SimCSESettings, examples: Examples
) -> tuple[Contrastive, bool, SimCSESettings]:
    """Load the model and settle how it is trained: returns the objective, whether in bf16, and the settings
    with what was worked out.
    """
    torch.manual_seed(settings.seed)
    model, dropout = load_trainable(base, settings)
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and bf16_is_fast(model.device))
    head = Head(model.get_embedding_dimension()).to(model.device) if settings.head else None
    objective = Contrastive(model, settings.contrast(), head=head)
    planned = _plan(objective, settings, examples, bf16=bf16)
    objective.chunk_tokens, objective.passes = planned
    about_run(model, dropout, planned, bf16=bf16)
    about_dropout(dropout, examples)
    about_plan(planned, settings)
    return objective, bf16, replace(settings, **planned._asdict())


def _plan(objective: Contrastive, settings: SimCSESettings, examples: Examples, *, bf16: bool) -> Plan:
    if settings.chunk_tokens is not None and settings.passes is not None:
        return Plan(settings.chunk_tokens, settings.passes)
    step = max(1, len(examples) // _SAMPLE)
    rows = examples.rows[::step][:_SAMPLE]
    features = views_of(objective, rows, settings.max_length)
    tokens = float(features["attention_mask"].sum()) / len(rows)

    def measured() -> int:
        chunk = cut(features, 2048)[0]
        with (
            torch.random.fork_rng(),
            torch.autocast(objective.model.device.type, torch.bfloat16, enabled=bf16),
        ):
            return saved_bytes_per_token(objective.encode, chunk)

    return plan(
        objective.model.device,
        batch_size=settings.batch_size // PartialState().num_processes,
        chunk_size=settings.chunk_size,
        tokens=tokens,
        bytes_per_token=measured,
    )


def views_of(objective: Contrastive, rows: Sequence[Sequence[str]], max_length: int | None) -> Features:
    """Return the tokens of every view of some rows as one batch."""
    columns = list(zip(*rows, strict=True))
    longest = {} if max_length is None else {"max_length": max_length}
    model: Any = objective.model
    features = [model.preprocess(list(column), **longest) for column in columns]
    together = stacked(features * 2 if len(features) == 1 else features)
    return {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in together.items()
    }


def as_dataset(examples: Examples) -> Dataset:
    """Return examples as the dataset that the trainer takes; its columns are the views."""
    columns = zip(*examples.rows, strict=True)
    return Dataset.from_dict({f"view{place}": list(column) for place, column in enumerate(columns)})


def _story(trained: Trained, settings: SimCSESettings, examples: Examples) -> dict[str, Any]:
    return {
        "made by": "embedkit train-simcse",
        "examples": len(examples),
        "columns": list(examples.columns),
        "figures": trained.figures(),
        "settings": {name: value for name, value in asdict(located(settings)).items() if value is not None},
    }


def _facts(trained: Trained, settings: SimCSESettings, examples: Examples) -> dict[str, str]:
    """Return what the model's card says of the run."""
    facts = {
        "trained on": f"{len(examples):,} examples of {' + '.join(examples.columns)}",
        "loss": f"{settings.loss}, temperature {settings.temperature:g}",
        "batches": f"{trained.steps:,} steps of {settings.batch_size * settings.accumulate:,} examples",
    }
    if trained.before is not None and trained.best is not None:
        before, best = (
            f"{100 * trained.before:.2f} before",
            f"{100 * trained.best:.2f} at step {trained.best_step}",
        )
        facts["Spearman on the pairs it was chosen by"] = f"{before}, {best}"
    return facts
