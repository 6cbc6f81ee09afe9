"""Word embeddings: a chunk touches few of the words, so its gradient is kept for those alone.

A dense gradient of all words is written and added once a chunk: 47 MB for BERT's vocabulary, 768 MB for a
multilingual one, which on processors is a tenth of a training step and more. Here it is written once a step.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

FEWEST = 4096  # rows of an embedding for which it pays


@contextmanager
def sparse_gradients(model: nn.Module) -> Iterator[None]:
    """Let what is computed here give sparse gradients to large embeddings, to be added to dense ones.

    One that comes first is added to zeros. On processors, in one process: DistributedDataParallel
    exchanges dense gradients only. The numbers are those of dense gradients.
    """
    chosen = _large_embeddings(model) if torch.is_grad_enabled() and not hasattr(model, "no_sync") else []
    for embedding in chosen:
        _make_first_dense(embedding.weight)
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


_watched: dict[int, weakref.ref[torch.Tensor]] = {}  # weights that are given a dense gradient, by identity


def _make_first_dense(weight: torch.Tensor) -> None:
    """Put zeros where a sparse gradient would be the first: optimisers take no sparse ones."""
    known = _watched.get(id(weight))
    if known is not None and known() is weight:
        return
    own = _watched[id(weight)] = weakref.ref(weight)

    def first_dense(gradient: torch.Tensor) -> None:
        there = own()
        if gradient.is_sparse and there is not None and there.grad is None:
            there.grad = torch.zeros_like(there)

    weight.register_hook(first_dense)
