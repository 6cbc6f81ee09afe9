"""The exact gradient of a loss over a large batch, in the memory of one chunk (Gao et al. 2021, arXiv
2101.06983; kexue.fm 8471).

A contrastive loss compares all sentences of a batch, so the sum of the losses of its chunks is another loss.
The exact gradient takes three steps:

  1. encode every chunk without a graph, and keep the random state before each;
  2. compute the loss on all vectors H at once, and its gradient G = dL/dH;
  3. encode every chunk again under its random state, with a graph, and backpropagate sum(H_chunk * G_chunk).

By the chain rule the parameters then have the gradient dL/dparameters, including the effect of dropout. The
third step runs when `backward` is called on the value of the second, so any training loop can use it: loss
scaling, accumulation over steps, clipping and mixed precision work as with a plain loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from embedkit.embedding.runtime import token_batches
from embedkit.errors import ModelError
from embedkit.training.random_state import Autocast, RandomState, forget_casts

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

Features = dict[str, Tensor]  # inputs of an encoder; the first axis of tensors is rows
Encode = Callable[[Features], Tensor]  # -> (rows, dim)
Loss = Callable[[Tensor], Tensor]  # (rows, dim) -> a number
Unsynchronised = Callable[[], AbstractContextManager[Any]]  # `no_sync` of DistributedDataParallel


class Chunk(NamedTuple):
    """Rows of a batch that are encoded together."""

    rows: Tensor  # (chunk,): positions in the batch
    features: Features


def cut(features: Features, budget: int) -> list[Chunk]:
    """Cut a batch into chunks of at most `budget` tokens, sorted by length and padded only as far as needed.

    `features` contain at least `attention_mask`, `(rows, tokens)`, with padding on the right or the left. A
    text longer than the budget is a chunk of its own.
    """
    mask = features["attention_mask"]
    lengths, left = mask.sum(dim=1), padded_left(mask)
    chunks = []
    for batch in token_batches(lengths.tolist(), budget):
        rows = torch.as_tensor(np.ascontiguousarray(batch), device=mask.device)
        longest = max(1, int(lengths[rows[0]]))
        columns = slice(-longest, None) if left else slice(longest)
        part = {name: _part(value, rows, mask, columns) for name, value in features.items()}
        chunks.append(Chunk(rows, part))
    return chunks


def padded_left(mask: Tensor) -> bool:
    """Return whether padding comes before the tokens in a mask `(rows, tokens)`."""
    return bool((mask[:, -1] > mask[:, 0]).any())


def _part(value: Any, rows: Tensor, mask: Tensor, columns: slice) -> Any:
    """Return some rows of a tensor, and some columns of shape `(rows, tokens, ...)`; others unchanged."""
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(mask):
        return value
    part = value[rows]
    return part[:, columns] if value.ndim > 1 and value.shape[1] == mask.shape[1] else part


def one_pass(
    encode: Encode, chunks: Sequence[Chunk], loss: Loss, *, unsynchronised: Unsynchronised = nullcontext
) -> Tensor:
    """Return the loss of all chunks with its whole graph, for batches that fit into memory.

    `unsynchronised` is entered for all chunks but the last.
    """
    parts = []
    for chunk, synchronising in _last_synchronised(chunks, unsynchronised):
        with synchronising():
            parts.append(encode(chunk.features))
    return loss(wide(in_order(chunks, parts)))


def two_passes(
    encode: Encode,
    chunks: Sequence[Chunk],
    loss: Loss,
    *,
    parameters: Iterable[Tensor] = (),
    unsynchronised: Unsynchronised = nullcontext,
) -> Tensor:
    """Return the loss of all chunks; its `backward` gives the gradient of `one_pass` in the memory of one
    chunk.

    `parameters` are the loss's own, such as class vectors. `unsynchronised` is entered for all chunks but the
    last in the second pass. Without gradients (evaluation), only the loss is computed. Raises ModelError when
    features and vectors are on different devices, because random numbers could not be replayed.
    """
    H, states = _first_pass(encode, chunks)
    if not torch.is_grad_enabled():
        return loss(H)
    leaves = [H.requires_grad_(), *(parameter for parameter in parameters if parameter.requires_grad)]
    value = loss(H)
    G, *others = torch.autograd.grad(value, leaves, allow_unused=True)
    again = _SecondPass(encode, chunks, states, G, Autocast.now(H.device), unsynchronised)
    return _Resumed.apply(again, value.detach(), others, torch.zeros((), requires_grad=True), *leaves[1:])


def in_order(chunks: Sequence[Chunk], parts: Sequence[Tensor]) -> Tensor:
    """Return the vectors of all chunks, `(rows, dim)`, in the batch's order."""
    rows = torch.cat([chunk.rows for chunk in chunks])
    return torch.cat(list(parts))[torch.argsort(rows)]


def wide(vectors: Tensor) -> Tensor:
    """Return vectors in float32 unless they are float64."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def _first_pass(encode: Encode, chunks: Sequence[Chunk]) -> tuple[Tensor, list[RandomState]]:
    """Return all vectors without a graph, `(rows, dim)`, and the random state before each chunk."""
    states, H = [], torch.empty(0)
    with torch.no_grad():
        for chunk in chunks:
            states.append(RandomState.now(chunk.rows.device))
            part = wide(encode(chunk.features))
            if part.device != chunk.rows.device:
                raise ModelError(
                    f"features are on {chunk.rows.device}, vectors on {part.device}",
                    hint="move the batch to the model's device",
                )
            if not len(H):
                H = part.new_empty((sum(len(each.rows) for each in chunks), part.shape[1]))
            H[chunk.rows] = part
    forget_casts()
    return H, states


def _last_synchronised(
    chunks: Sequence[Chunk], unsynchronised: Unsynchronised
) -> Iterator[tuple[Chunk, Unsynchronised]]:
    """Yield each chunk with the context to encode it in, so that processes exchange gradients only once."""
    for number, chunk in enumerate(chunks, 1):
        yield chunk, unsynchronised if number < len(chunks) else nullcontext


@dataclass(frozen=True)
class _SecondPass:
    encode: Encode
    chunks: Sequence[Chunk]
    states: Sequence[RandomState]
    G: Tensor
    autocast: Autocast
    unsynchronised: Unsynchronised

    def run(self, scale: Tensor) -> None:
        """Encode every chunk again and backpropagate `scale * sum(H * G)`."""
        forget_casts()
        chunks = _last_synchronised(self.chunks, self.unsynchronised)
        with torch.enable_grad(), self.autocast.entered():  # around all chunks, to cast weights once
            for state, (chunk, synchronising) in zip(self.states, chunks, strict=True):
                with synchronising(), state.replayed():
                    H = self.encode(chunk.features)
                    surrogate = (H.to(self.G.dtype) * self.G[chunk.rows]).sum() * scale.to(self.G.dtype)
                    with self.autocast.left():
                        surrogate.backward()


class _Resumed(torch.autograd.Function):  # type: ignore[misc]
    """The loss as a number, whose backward runs the second pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, again: _SecondPass, value: Tensor, others: list[Any], *leaves: Tensor
    ) -> Tensor:
        """Return the value of the loss."""
        ctx.again, ctx.others = again, others
        return value.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, scale: Tensor) -> tuple[Any, ...]:
        """Run the second pass, and return the gradients of other parameters."""
        ctx.again.run(scale)
        of_parameters = [None if gradient is None else scale * gradient for gradient in ctx.others]
        return (None, None, None, None, *of_parameters)
