"""Word embeddings: a chunk touches few of the words, so its gradient is kept for those alone.

A dense gradient of all words is written and added once a chunk: 47 MB for BERT's vocabulary, 768 MB for a
multilingual one, which on processors is a tenth of a training step and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

FEWEST = 4096  # rows of an embedding for which it pays


@contextmanager
def sparse_gradients(model: nn.Module) -> Iterator[None]:
    """Let what is computed here give sparse gradients to large embeddings, to be added to dense ones.

    `backward` must follow before gradients are set to None, as in the second pass. On processors, in one
    process: DistributedDataParallel exchanges dense gradients only. The numbers are those of dense gradients.
    """
    chosen = _large_embeddings(model) if torch.is_grad_enabled() and not hasattr(model, "no_sync") else []
    for embedding in chosen:
        if embedding.weight.grad is None:  # a sparse gradient that comes first would stay sparse
            embedding.weight.grad = torch.zeros_like(embedding.weight)
        embedding.sparse = True
    try:
        yield
    finally:
        for embedding in chosen:
            embedding.sparse = False


def _large_embeddings(model: nn.Module) -> list[nn.Embedding]:
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        and module.num_embeddings >= FEWEST
        and module.weight.requires_grad
        and module.weight.device.type == "cpu"
        and not (module.sparse or module.scale_grad_by_freq)
    ]
