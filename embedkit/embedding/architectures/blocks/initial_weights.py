"""Initial weights of embedkit's own network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.dense import GainedLinear
from embedkit.embedding.architectures.blocks.gated_attention import GatedAttention
from embedkit.embedding.architectures.blocks.kernel_attention import KernelAttention, orthogonal_projection
from embedkit.embedding.architectures.blocks.token_mixing import TokenMixing


@torch.no_grad()  # type: ignore[untyped-decorator]
def set_initial_weights(module: nn.Module, config: EncoderConfig) -> None:
    """Set the initial weights of one module, except in its submodules, and except weights read from a file.

    `normal` has BERT's standard deviation everywhere. `xavier` has the variance gain^2 * 2 / (in + out) for
    dense layers, with the gain `initial_gain` for values, outputs and feed-forward parts (arXiv 2203.00555,
    figure 2), and 1 for others.
    """
    if isinstance(module, nn.Embedding):
        _draw(module.weight, config.initializer_range)
        if module.padding_idx is not None and not _is_loaded(module.weight):
            module.weight[module.padding_idx].zero_()
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        _draw_dense(module.weight, config, config.initial_gain if isinstance(module, GainedLinear) else 1.0)
        nn.init.zeros_(module.bias)
    elif isinstance(module, TokenMixing):
        _draw_dense(module.gather, config)
        _draw_dense(module.spread, config)
        nn.init.zeros_(module.gather_bias)
        nn.init.zeros_(module.spread_bias)
    elif isinstance(module, GatedAttention):
        nn.init.ones_(module.factors)
        nn.init.zeros_(module.offsets)
    elif isinstance(module, KernelAttention) and module.is_random and not _is_loaded(module.projection):
        module.projection.copy_(orthogonal_projection(*module.projection.shape))


def _draw(weight: Tensor, deviation: float) -> None:
    """Draw weights from a normal distribution around 0."""
    nn.init.normal_(weight, std=deviation)


def _draw_dense(weight: Tensor, config: EncoderConfig, gain: float = 1.0) -> None:
    """Draw the weights of a dense layer, `(out, in)`."""
    xavier = gain * (2 / sum(weight.shape)) ** 0.5
    _draw(weight, xavier if config.initial_weights == "xavier" else config.initializer_range)


def _is_loaded(tensor: Tensor) -> bool:
    """Return whether transformers read a tensor from a file; torch.nn.init leaves such tensors alone."""
    return bool(getattr(tensor, "_is_hf_initialized", False))
