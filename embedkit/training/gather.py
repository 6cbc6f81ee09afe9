"""Several processes: everybody's rows with gradient, so that a batch is the batch of all.

Each process takes the mean loss of its own rows against the rows of all; that is the value it returns. Going
back, `gathered` adds what every process wants of a row, and DistributedDataParallel averages the gradients of
parameters over processes. Together that is the gradient of the mean over all rows, as in one process with the
whole batch: the loss is not multiplied by the number of processes, and that of the whole batch is the mean of
the values. Processes must bring the same number of rows.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rows(rows: int) -> slice:
    """Return where this process's `rows` stand in what `gathered` gives."""
    start = rows * dist.get_rank() if processes() > 1 else 0
    return slice(start, start + rows)


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes in the order of ranks, `(processes * rows, ...)`, with gradient."""
    return rows if processes() == 1 else _Gathered.apply(rows)


class _Gathered(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.own = own_rows(len(rows))
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, wanted: Tensor) -> Tensor:
        total = wanted.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.own]
