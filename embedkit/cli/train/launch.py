"""Run a training command in one of several processes (torchrun, accelerate launch); only the first prints."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from embedkit.cli.console import relay_warnings, say
from embedkit.cli.options import Common


def launched() -> int:
    """Return the number of processes that the launcher has started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Return True in the first, or the only, process of a run."""
    return os.environ.get("RANK", "0") == "0"


def first_speaks(common: Common) -> Common:
    """Return the options for this process: all processes but the first are quiet and print no JSON."""
    common = common if is_first() else dataclasses.replace(common, quiet=True, json=False)
    relay_warnings(common.quiet, notes=True)
    return common


@contextmanager
def one_voice() -> Iterator[None]:
    """Join the process group; when an error stops all processes, only the first prints it.

    All processes leave together, so that the launcher ends none of them before the error is printed.
    """
    if launched() == 1:
        yield
        return
    from embedkit.training.distributed import StoppedError, is_loss, join, part

    join()
    try:
        yield
    except StoppedError as error:
        if is_first():
            say(str(error))
        part()
        raise typer.Exit(error.exit_code) from None
    except RuntimeError as error:
        if not is_loss(error):
            raise
        if is_first():
            say("another process of this run has ended; continue from the last checkpoint with --resume")
        raise typer.Exit(1) from None
    part()


def one_fate() -> AbstractContextManager[None]:
    """Return a context in which an error in one process stops all; torch is not imported for one process."""
    if launched() == 1:
        return nullcontext()
    from embedkit.training import distributed as together

    return together.one_fate()
