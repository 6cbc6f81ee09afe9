"""Softmax attention with several heads (arXiv 1706.03762)."""

from __future__ import annotations

from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context, without_padding
from embedkit.embedding.architectures.blocks.dense import GainedLinear


class Heads(nn.Module):  # type: ignore[misc]
    """The projections of attention with several heads, and their output."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.output = GainedLinear(width, width), GainedLinear(width, width)

    def divided(self, vectors: Tensor) -> Tensor:
        """Divide `(texts, tokens, width)` into `(texts, heads, tokens, size)`."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def joined(self, parts: Tensor) -> Tensor:
        """Join `(texts, heads, tokens, size)`, and return the output, `(texts, tokens, width)`."""
        output: Tensor = self.output(parts.transpose(1, 2).flatten(2))
        return output


class Attention(Heads):
    """softmax(scale * Q K^T / sqrt(size)) V in every head; padding gets no weight."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Mix token vectors `(texts, tokens, width)`."""
        queries = context.rotated(self.divided(context.scaled(self.query(hidden))))
        keys = context.rotated(self.divided(self.key(hidden)))
        logits = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        weights = self.dropout(without_padding(logits, context.mask).softmax(dim=-1))
        return self.joined(weights @ self.divided(self.value(hidden)))
