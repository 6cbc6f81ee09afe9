"""Sparse gradients of word embeddings: a chunk uses few words, so only their gradients are kept.

A dense gradient of all words is written and added once per chunk: 47 MB for BERT's vocabulary, 768 MB for a
multilingual one, which on processors takes a tenth of a training step and more. Here it is written once per
step.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

FEWEST = 4096  # minimum rows of an embedding for a gain


@contextmanager
def sparse_gradients(model: nn.Module) -> Iterator[None]:
    """Make large embeddings give sparse gradients in this block; they are added to dense ones.

    A first gradient is added to zeros. This applies on processors in one process only, because
    DistributedDataParallel exchanges dense gradients only. The values equal dense gradients.
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


_watched: dict[int, weakref.ref[torch.Tensor]] = {}  # weights with a hook for a dense gradient, by identity


def _make_first_dense(weight: torch.Tensor) -> None:
    """Create a dense zero gradient before a first sparse one, because optimisers reject sparse gradients."""
    known = _watched.get(id(weight))
    if known is not None and known() is weight:
        return
    own = _watched[id(weight)] = weakref.ref(weight)

    def first_dense(gradient: torch.Tensor) -> None:
        """Create the dense gradient, if this gradient is sparse and the first."""
        there = own()
        if gradient.is_sparse and there is not None and there.grad is None:
            there.grad = torch.zeros_like(there)

    weight.register_hook(first_dense)
