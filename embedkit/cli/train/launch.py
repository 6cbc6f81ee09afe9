"""A training command in one of several processes (torchrun, accelerate launch): the first one speaks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from embedkit.cli.console import relay_warnings, say
from embedkit.cli.options import Common


def launched() -> int:
    """Return how many processes the launcher has started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Say whether this is the first, or the only, process of a run."""
    return os.environ.get("RANK", "0") == "0"


def first_speaks(common: Common) -> Common:
    """Return the options as they hold for this process: of several only the first one speaks."""
    common = common if is_first() else dataclasses.replace(common, quiet=True, json=False)
    relay_warnings(common.quiet, notes=True)
    return common


@contextmanager
def one_voice() -> Iterator[None]:
    """Meet the other processes; what stops all of them is said once, by the first.

    All leave together, so that none is ended by the launcher before it has been said.
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
            say("another process of this run has ended; --resume goes on from the last checkpoint")
        raise typer.Exit(1) from None
    part()


def one_fate() -> AbstractContextManager[None]:
    """Let what stops one process stop all, where there are several; torch is not imported for one."""
    if launched() == 1:
        return nullcontext()
    from embedkit.training import distributed as together

    return together.one_fate()
