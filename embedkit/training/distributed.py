"""Processes that train together, as torchrun or accelerate launch them: join, agree, fail together."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch.distributed as dist

from embedkit.errors import EmbedkitError
from embedkit.training.gather import processes

_PATIENCE = datetime.timedelta(
    days=7
)  # others wait while the first process evaluates; torchrun ends processes of a failed launch

Value = TypeVar("Value")


class StoppedError(EmbedkitError):
    """The error that stopped all processes, with its message and its exit code."""

    def __init__(self, what: str, exit_code: int) -> None:
        super().__init__(what)
        self.exit_code = exit_code


def join() -> None:
    """Join the other processes of a launch; does nothing in a single process, or after joining."""
    launched = "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if launched and not dist.is_initialized():
        dist.init_process_group(timeout=_PATIENCE)


def part() -> None:
    """Wait until all processes have called this, or one is lost, then leave the group."""
    if dist.is_initialized():
        with suppress(RuntimeError):
            dist.barrier()
        dist.destroy_process_group()


def is_first() -> bool:
    """Return whether this is the first, or the only, process."""
    return processes() == 1 or dist.get_rank() == 0


def of_all(value: Value) -> list[Value]:
    """Return the value of each process, in the order of ranks."""
    values: list[Any] = [value] * processes()
    if processes() > 1:
        dist.all_gather_object(values, value)
    return values


def of_first(value: Value) -> Value:
    """Return the value of the first process."""
    return of_all(value)[0]


@contextmanager
def one_fate() -> Iterator[None]:
    """Make an error of one process in this block stop all of them, so that none waits for it; all must enter
    it.

    In several processes, each raises StoppedError with the message of the first that failed; a process with
    an unexpected exception raises that exception. In a single process, an error passes unchanged. The block
    must not wait for other processes.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        if processes() == 1:
            raise
        failed = error
    verdicts = of_all(None if failed is None else _verdict(failed))
    if failed is not None and not isinstance(failed, EmbedkitError | OSError):
        raise failed
    for rank, verdict in enumerate(verdicts):
        if verdict is not None:
            line, code = verdict
            raise StoppedError(f"process {rank}: {line}" if rank else line, code) from failed


def _verdict(error: Exception) -> tuple[str, int]:
    if isinstance(error, EmbedkitError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return f"{error.filename}: {str(error.strerror).lower()}" if error.filename else str(error), 1
    return f"{type(error).__name__}: {error}", 1


def is_loss(error: RuntimeError) -> bool:
    """Return whether an error means that another process has ended."""
    return isinstance(error, dist.DistError) or "closed by peer" in str(error) or "gloo" in str(error)
