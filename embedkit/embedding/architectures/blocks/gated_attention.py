"""The gated attention unit: O = (U * A V) W, where queries and keys are two scaled copies of one small
projection and A has a single head (arXiv 2202.10447, section 3; kexue.fm 8934).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.activations import ACTIVATIONS
from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context, without_padding


class GatedAttention(nn.Module):  # type: ignore[misc]
    """A is softmax(scale * Q K^T / sqrt(s)), or relu(Q K^T / sqrt(s))^2 / n for n tokens in the text."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, inner, size = config.hidden_size, config.intermediate_size, config.key_size
        self.activate = ACTIVATIONS[config.hidden_act]
        self.squares = config.attention_function == "relu-squared"
        self.gate, self.value = nn.Linear(width, inner), nn.Linear(width, inner)
        self.base, self.output = nn.Linear(width, size), nn.Linear(inner, width)
        self.factors = nn.Parameter(torch.ones(2, size))  # of queries, and of keys
        self.offsets = nn.Parameter(torch.zeros(2, size))
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Mix token vectors `(texts, tokens, width)`."""
        base = self.activate(self.base(hidden))
        queries, keys = (base * f + o for f, o in zip(self.factors, self.offsets, strict=True))
        queries, keys = context.rotated(context.scaled(queries)), context.rotated(keys)
        logits = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        weights = self.dropout(self._weights(logits, context))
        mixed = weights @ self.activate(self.value(hidden))
        output: Tensor = self.output(self.activate(self.gate(hidden)) * mixed)
        return output

    def _weights(self, logits: Tensor, context: Context) -> Tensor:
        """Return A for logits `(texts, tokens, tokens)`; padding gets no weight."""
        if not self.squares:
            return without_padding(logits, context.mask).softmax(dim=-1)
        return (logits.relu() ** 2).masked_fill(~context.mask[:, None], 0) / context.counts
