"""Runs with several seeds: values of single runs vary by points, so a result is a mean and a deviation."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import orjson

from embedkit.data.atomic import discard, require_name, whole_folder, write_whole
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.embedding.foreign_json import read_object
from embedkit.embedding.students import STORY
from embedkit.errors import FormatError, ModelError, UsageError
from embedkit.training.distributed import is_first, join, one_fate
from embedkit.training.input_digests import require_unchanged
from embedkit.training.recipe import Recipe, with_seed
from embedkit.training.run import train
from embedkit.training.run_folder import refuse_run, require_same
from embedkit.training.run_log import Measure, Watch
from embedkit.training.trained import Trained


@dataclass(frozen=True)
class Runs:
    """The runs of one command, one per seed, and the seed whose model was kept."""

    path: Path
    trained: dict[int, Trained]  # by seed
    kept: int
    measure: Measure

    @property
    def scores(self) -> list[float]:
        """The value of each run that was scored."""
        return [run.best for run in self.trained.values() if run.best is not None]

    @property
    def mean(self) -> float | None:
        """The mean of the scores."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation of the scores."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        runs = [{"seed": seed, **run.figures()} for seed, run in self.trained.items()]
        together = {"mean": self.mean, "deviation": self.deviation, "runs": runs}
        return {"output": readable_name(self.path), "kept_seed": self.kept, **together}

    def lines(self) -> list[str]:
        """Return the lines to print."""
        lines = [_line(seed, run, self.measure) for seed, run in self.trained.items()]
        if self.mean is not None and self.deviation is not None:
            mean, deviation = map(self.measure.shown, (self.mean, self.deviation))
            lines.append(f"{self.measure.title} {mean} on average, deviation {deviation}")
        return [*lines[:-1], f"{lines[-1]} -> {self.path}"]


def _line(seed: int, run: Trained, measure: Measure) -> str:
    chunks = f"two passes over chunks of {counted(run.plan.chunk_tokens, 'token')}"
    passes = "one pass" if run.plan.passes == 1 else chunks
    found = "".join(f", {name} {value:.3g}" for name, value in run.found.items())
    told = f"seed {seed}: {counted(run.steps, 'step')} in {run.seconds:.0f} s, {passes}{found}"
    if run.best is None or run.before is None:
        return told
    after = f"{measure.shown(run.best)} at step {run.best_step:,}, which is kept"
    return f"{told}; {measure.title} {measure.shown(run.before)} before, {after}"


def train_seeds(
    path: str | Path,
    recipe: Recipe,
    *,
    count: int = 1,
    keep_all: bool = False,
    resume: bool = False,
    force: bool = False,
    watch: Watch = lambda event: None,
) -> Runs:
    """Train with `count` successive seeds, from the settings' seed on, and keep the best model at `path`.

    Without scores, the first is kept. Each seed has its own folder `NAME.seedN` until all are done, or
    permanently with `keep_all`; a resumed command trains the missing ones. Raises UsageError when `count` is
    below 1 or a seed is too large.
    """
    path = Path(path)
    if count < 1:
        raise UsageError(f"must be at least 1, got {count}", where="`seeds`")
    require_name(path)
    first = recipe.settings.seed
    seeds = range(first, first + count)
    if count == 1:
        only = train(path, recipe, resume=resume, force=force, watch=watch)
        return Runs(path, {first: only}, first, recipe.measure)
    with_seed(recipe, seeds[-1])  # raises UsageError for a seed that is too large
    join()
    with one_fate():
        refuse_run(path, recipe.settings.files, resume=resume, force=force)
    trained = {}
    for seed in seeds:
        place = path.with_name(f"{path.name}.seed{seed}")
        one = with_seed(recipe, seed)
        if resume and (place / STORY).is_file():
            with one_fate():
                trained[seed] = _read(place, one)
        else:
            trained[seed] = train(place, one, resume=resume, force=force, watch=watch)
    sign = -1 if recipe.measure.falls else 1
    best = max(seeds, key=lambda seed: sign * (trained[seed].best or 0.0))
    runs = Runs(path, trained, best, recipe.measure)
    with one_fate():
        if is_first():
            _keep(runs, all_of_them=keep_all)
    return runs


def _read(folder: Path, recipe: Recipe) -> Trained:
    """Return the record of a finished run.

    Raises MismatchError when it had other settings or data, and FormatError when its story is damaged.
    """
    require_same(folder, recipe.settings)
    try:
        story = read_object(folder, STORY, where=str(folder))
        require_unchanged(story.get("sources"), recipe.sources(), where=str(folder))
        return Trained.from_figures(folder, story["figures"])
    except (ModelError, LookupError, TypeError, AttributeError) as error:
        what = error.what if isinstance(error, ModelError) else f"{STORY} has no figures of a run"
        raise FormatError(
            what, where=str(folder), hint=f"delete {folder} and train this seed again with `resume=True`"
        ) from None


def _keep(runs: Runs, *, all_of_them: bool) -> None:
    """Put a copy of the kept model in the output's place, with the values of all runs; remove the rest."""
    best = runs.trained[runs.kept].path
    with whole_folder(runs.path) as folder:
        shutil.copytree(best, folder, dirs_exist_ok=True)
        story = orjson.loads((best / STORY).read_bytes()) | {"seeds": runs.to_json()}
        write_whole(folder / STORY, orjson.dumps(story, option=orjson.OPT_INDENT_2) + b"\n")
    for run in runs.trained.values():
        if not all_of_them:
            discard(run.path)
