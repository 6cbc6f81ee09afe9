"""The rows of all processes, with gradient, so that a batch spans all processes.

Each process returns the mean loss of its own rows against the rows of all processes. In backward, `gathered`
sums each row's gradient over processes, and DistributedDataParallel averages the gradients of parameters over
processes. The result is the gradient of the mean over all rows, as in one process with the whole batch. The
loss is therefore not multiplied by the number of processes, and the whole batch's loss is the mean of the
values. Processes must have the same number of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx


def processes() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rows(rows: int) -> slice:
    """Return the slice of this process's `rows` in the result of `gathered`."""
    start = rows * dist.get_rank() if processes() > 1 else 0
    return slice(start, start + rows)


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes in the order of ranks, `(processes * rows, ...)`, with gradient."""
    return rows if processes() == 1 else _Gathered.apply(rows)


class _Gathered(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor) -> Tensor:
        """Return the rows of all processes."""
        ctx.own = own_rows(len(rows))
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, wanted: Tensor) -> Tensor:
        """Return the gradient of this process's rows, summed over processes."""
        total = wanted.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.own]
