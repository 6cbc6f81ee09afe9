"""Token mixing without attention: two dense layers over positions, the same for every coordinate (arXiv
2105.01601; kexue.fm 8431).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.activations import ACTIVATIONS
from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context


class TokenMixing(nn.Module):  # type: ignore[misc]
    """W2 f(W1 X + b1) + b2, where the columns of W1 and the rows of W2 are positions.

    A text of T tokens uses the first T of them, and padding enters as zeros, so it changes nothing.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activate = ACTIVATIONS[config.hidden_act]
        self.longest = config.max_position_embeddings
        self.gather = nn.Parameter(torch.zeros(config.token_size, self.longest))  # W1
        self.gather_bias = nn.Parameter(torch.zeros(config.token_size))
        self.spread = nn.Parameter(torch.zeros(self.longest, config.token_size))  # W2
        self.spread_bias = nn.Parameter(torch.zeros(self.longest))

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Mix token vectors `(texts, tokens, width)`."""
        tokens = hidden.shape[1]
        if not torch.jit.is_tracing() and tokens > self.longest:
            raise ValueError(f"the text has {tokens} tokens, more than the {self.longest} positions")
        seen = hidden.masked_fill(~context.mask[..., None], 0).transpose(1, 2)
        inner = self.activate(nn.functional.linear(seen, self.gather[:, :tokens], self.gather_bias))
        mixed = nn.functional.linear(inner, self.spread[:tokens], self.spread_bias[:tokens])
        return mixed.transpose(1, 2)
