"""Run a training command from the first check to the closing line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cli.closing import close
from embedkit.cli.console import say
from embedkit.cli.options import Common
from embedkit.cli.train.launch import first_speaks, launched, one_fate, one_voice
from embedkit.cli.train.progress import TrainingProgress
from embedkit.cli.train.training_options import RunOptions
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.training.recipe import Recipe
    from embedkit.training.run_settings import RunSettings


def train_together(
    output: Path | None,
    read: Callable[[Common], Recipe | None],
    run: RunOptions,
    common: Common,
) -> None:
    """Run the recipe that `read` returns, in every process of a launch; do nothing if it returns None."""
    common = first_speaks(common)
    with one_voice():
        with one_fate():
            recipe = read(common)
        if recipe is not None and not _found_done(output, recipe, run, common):
            run_recipe(output, recipe, run, common)


def is_done(output: Path | None, settings: RunSettings, run: RunOptions, common: Common) -> bool:
    """Return True if the run is finished already and its files are as they were; raise an error, before any
    input is read, if the output cannot be written, or if the finished run had other settings.
    """
    if output is None and not run.check_exact:
        raise UsageError("is missing", where="--output", hint="name a folder with -o")
    if run.check_exact and launched() > 1:
        raise UsageError("runs in one process only", where="--check-exact", hint="omit the launcher")
    if output is None:
        return False
    from embedkit.training.input_digests import untouched
    from embedkit.training.run_folder import is_trained, refuse_run, require_same, trained_on

    if not (run.resume and is_trained(output)):
        refuse_run(output, settings.files, resume=run.resume, force=common.force)
        return False
    require_same(output, settings)
    if not untouched(trained_on(output)):
        return False
    _say_done(output, common)
    return True


def _found_done(output: Path | None, recipe: Recipe, run: RunOptions, common: Common) -> bool:
    """Return True if a run is finished whose files were written again with the content that it was trained
    on; raises MismatchError if the content differs.
    """
    from embedkit.training.input_digests import require_unchanged
    from embedkit.training.run_folder import is_trained, trained_on

    if output is None or not run.resume or not is_trained(output):
        return False
    require_unchanged(trained_on(output), recipe.sources(), where=str(output))
    _say_done(output, common)
    return True


def _say_done(output: Path, common: Common) -> None:
    if not common.quiet:
        say(f"{output}: is already trained")


def run_recipe(output: Path | None, recipe: Recipe, run: RunOptions, common: Common) -> None:
    """Check the gradient if `--check-exact` is given, and train if there is an output."""
    if run.check_exact:
        from embedkit.training.gradient_check import check_exact

        error = check_exact(recipe)
        if common.json:
            print(json.dumps({"gradient_error": error}))
        else:
            print(f"relative error of the accumulated gradient, float32: {error:.1e}")
    if output is not None:
        _train(output, recipe, run, common)


def _train(output: Path, recipe: Recipe, run: RunOptions, common: Common) -> None:
    from embedkit.training.seeds import train_seeds

    how: dict[str, Any] = {"resume": run.resume, "force": common.force}
    how |= {"count": 1 if run.seeds is None else run.seeds, "keep_all": run.keep_seeds}
    progress = TrainingProgress(recipe.measure, quiet=common.quiet)
    with progress.drawn():
        runs = train_seeds(output, recipe, watch=progress.watch, **how)
    close(common, runs.to_json(), *runs.lines())
