"""Layers: branches around which a residual and layer normalisation are placed."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.activations import ACTIVATIONS
from embedkit.embedding.architectures.blocks.attention import Attention
from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context
from embedkit.embedding.architectures.blocks.dense import GainedLinear
from embedkit.embedding.architectures.blocks.gated_attention import GatedAttention
from embedkit.embedding.architectures.blocks.kernel_attention import KernelAttention
from embedkit.embedding.architectures.blocks.token_mixing import TokenMixing

MIXING: dict[str, Callable[[EncoderConfig], nn.Module]] = {
    "attention": Attention,
    "gated-attention": GatedAttention,
    "kernel-attention": KernelAttention,
    "token-mlp": TokenMixing,
}


class FeedForward(nn.Module):  # type: ignore[misc]
    """W2 f(W1 x + b1) + b2 for every token."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activate = ACTIVATIONS[config.hidden_act]
        self.inner = GainedLinear(config.hidden_size, config.intermediate_size)
        self.output = GainedLinear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Map token vectors `(texts, tokens, width)`; the context is not used."""
        output: Tensor = self.output(self.activate(self.inner(hidden)))
        return output


class Residual(nn.Module):  # type: ignore[misc]
    """A branch B with its residual: post norm N(x + B(x) / alpha), or pre norm x + B(N(x)).

    N(x + B(x) / alpha) is DeepNorm's N(alpha x + B(x)) with the epsilon of N divided by alpha^2 (arXiv
    2203.00555).
    """

    def __init__(self, branch: nn.Module, config: EncoderConfig) -> None:
        super().__init__()
        self.branch = branch
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.is_pre, self.alpha = config.normalization == "pre", config.residual_scale

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Map token vectors `(texts, tokens, width)`."""
        if self.is_pre:
            return hidden + self.dropout(self.branch(self.norm(hidden), context))
        normed: Tensor = self.norm(hidden + self.dropout(self.branch(hidden, context)) / self.alpha)
        return normed


class Layer(nn.Module):  # type: ignore[misc]
    """Token mixing, then a feed-forward part unless the mixing contains one."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.mixing = Residual(MIXING[config.mixing](config), config)
        alone = config.mixing == "gated-attention"
        self.feed_forward = None if alone else Residual(FeedForward(config), config)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Map token vectors `(texts, tokens, width)`."""
        hidden = self.mixing(hidden, context)
        return hidden if self.feed_forward is None else self.feed_forward(hidden, context)
