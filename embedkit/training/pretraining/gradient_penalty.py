"""The gradient penalty: half the squared norm of the gradient of a text's loss by its embedded tokens
(kexue.fm 7234).

Added to the loss, it makes the loss flat around the embedded tokens, as training on small adversarial changes
of them does. The gradient by a network's parameters bounds the gradient by its inputs, up to the norms of its
weights and layers (kexue.fm 8796; Dherin et al. 2021, arXiv 2111.15090), so flat parameters imply flat inputs
in part; the penalty makes them flat directly. Its own gradient takes second derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from embedkit.errors import ModelError
from embedkit.training.gradcache import wide


@contextmanager
def embedded_tokens(embedding: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that receives the outputs of an embedding, `(rows, tokens, dim)`, in this block.

    They have gradients even if the embedding is frozen. Attention is computed in its plain form, because the
    fused one has no second derivative.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        """Keep an output of the embedding."""
        outputs.append(output if output.requires_grad else output.requires_grad_())

    hook = embedding.register_forward_hook(keep)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield outputs
    finally:
        hook.remove()


def half_squared_gradients(losses: Tensor, embedded: list[Tensor], *, differentiable: bool) -> Tensor:
    """Return half the squared norm of each row's gradient, `(rows,)`, for losses `(rows,)` of which each
    depends on its own row of the one embedded batch, `(rows, tokens, dim)`.

    With `differentiable`, the result has a graph. Raises ModelError for a model that embeds a batch more or
    less than once.
    """
    if len(embedded) != 1:
        raise ModelError(f"embeds its tokens {len(embedded)} times, so `gradient_penalty` cannot be used")
    with torch.autocast(losses.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(losses.sum(), embedded, create_graph=differentiable)
        return wide(gradient).square().sum(dim=(1, 2)) / 2
