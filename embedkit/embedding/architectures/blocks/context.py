"""What the layers know of a batch besides its token vectors."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from embedkit.embedding.architectures.blocks.rotary import Rotation

TRAINED_LENGTH = 512  # tokens at which the log-length scale is 1


class Context(NamedTuple):
    """The mask of a batch, and what follows from it."""

    mask: Tensor  # (texts, tokens): True for tokens, False for padding
    rotation: Rotation | None = None  # of rotary positions
    scale: Tensor | None = None  # (texts, 1, 1): factor on the queries

    @property
    def counts(self) -> Tensor:
        """The number of tokens per text, at least 1: `(texts, 1, 1)`."""
        return token_counts(self.mask)

    def scaled(self, queries: Tensor) -> Tensor:
        """Return queries `(texts, tokens, size)` times the factor of their text."""
        return queries if self.scale is None else queries * self.scale.to(queries.dtype)

    def rotated(self, vectors: Tensor) -> Tensor:
        """Return vectors `(..., tokens, size)`, rotated by their positions if positions are rotary."""
        return vectors if self.rotation is None else self.rotation.turn(vectors)


def token_counts(mask: Tensor) -> Tensor:
    """Return the number of True values per row `(rows, columns)`, at least 1, as `(rows, 1, 1)`."""
    return mask.sum(dim=1).clamp(min=1).view(-1, 1, 1)


def log_length_scale(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return log n / log 512 for n tokens per text, `(texts, 1, 1)`: with it, the entropy of attention hardly
    depends on the length (kexue.fm 8823, 9034).
    """
    return torch.log(token_counts(mask).to(dtype)) / math.log(TRAINED_LENGTH)


def without_padding(logits: Tensor, mask: Tensor) -> Tensor:
    """Return logits `(texts, ..., tokens)` with the least number at padding, so that its softmax is 0."""
    between = (1,) * (logits.dim() - 2)
    padding = ~mask.view(mask.shape[0], *between, mask.shape[1])
    return logits.masked_fill(padding, torch.finfo(logits.dtype).min)
