"""How a batch is cut: as the free memory allows, or by a given chunk size."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from embedkit.training.gradcache import Chunk

CHUNK_TOKENS = {"cpu": 2048}  # maximum tokens per chunk; more gains nothing on processors
_CHUNK_TOKENS = 65536  # maximum on other devices
_SHARE = 0.5  # share of the free memory for the graphs of a whole batch


class ChunkPlan(NamedTuple):
    """Chunks of at most `chunk_tokens` tokens; 1 pass keeps the graphs of all, 2 passes one at a time."""

    chunk_tokens: int
    passes: int


def plan(
    device: torch.device,
    *,
    batch_size: int,
    chunk_size: int | None,
    tokens: float,
    bytes_per_token: Callable[[], int],
) -> ChunkPlan:
    """Return how to cut batches of `batch_size` examples with `tokens` tokens each.

    A given `chunk_size` is used as it is: each chunk has the tokens of that many average examples, and larger
    batches take two passes. None takes one pass if the graphs of the whole batch fit into half of the free
    memory.
    """
    if chunk_size is not None:
        return ChunkPlan(max(1, round(chunk_size * tokens)), 1 if chunk_size >= batch_size else 2)
    per_token, free = bytes_per_token(), _SHARE * free_memory(device)
    most = CHUNK_TOKENS.get(device.type, _CHUNK_TOKENS)
    fits = max(1, int(free / per_token))
    return ChunkPlan(min(most, fits), 1 if batch_size * tokens * 1.5 <= fits else 2)  # 1.5: batches vary


def saved_bytes_per_token(encode: Callable[[Any], Tensor], chunk: Chunk) -> int:
    """Return the bytes that one forward pass keeps for its backward pass, per token of the chunk."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        """Note the storage of a tensor that is kept for the backward pass."""
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        vectors = encode(chunk.features)
    del vectors
    tokens: int = chunk.features["attention_mask"].numel()
    return max(1, sum(kept.values()) // tokens)


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a graphics card, or the share of each process in the machine's free memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    import psutil

    available: int = psutil.virtual_memory().available
    return min(available, _left_to_group()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _left_to_group() -> int:
    """Return the bytes left under a container's limit (Linux control groups v2); 2**62 without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return int(limit) - int(used)
    except (OSError, ValueError):
        return 2**62
