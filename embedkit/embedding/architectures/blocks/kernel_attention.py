"""Attention by a kernel: the weight of a key is the product of its features with the query's, so that the sum
over keys is computed once for all queries (arXiv 2006.16236; kexue.fm 8610).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedkit.embedding.architectures.blocks.attention import Heads
from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context, without_padding


class KernelAttention(Heads):
    """f(q) (sum f(k) v^T) / (f(q) sum f(k)) in every head; padding gets no weight.

    Rotary positions turn the features in the numerator only, which keeps the denominator above 0 (arXiv
    2104.09864, equation 19).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.is_random = config.kernel == "performer"
        if self.is_random:
            size = config.hidden_size // self.heads
            self.register_buffer("projection", torch.zeros(config.feature_count, size))

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        """Mix token vectors `(texts, tokens, width)`."""
        queries, keys = self.divided(self.query(hidden)), self.divided(self.key(hidden))
        query_features, key_features = self._features(queries, keys, context.mask)
        values = self.divided(self.value(hidden))
        sums = context.rotated(key_features).transpose(-1, -2) @ values
        total = query_features @ key_features.sum(dim=-2, keepdim=True).transpose(-1, -2)
        return self.joined(context.rotated(query_features) @ sums / total)

    def _features(self, queries: Tensor, keys: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return positive features of `(texts, heads, tokens, size)`, for keys 0 at padding."""
        if not self.is_random:
            seen = mask[:, None, :, None]
            return elu_features(queries), elu_features(keys).masked_fill(~seen, 0)
        exponents = softmax_exponents(keys, self.projection)
        exponents = without_padding(exponents.transpose(-1, -2), mask).transpose(-1, -2)
        largest = exponents.amax(dim=(-1, -2), keepdim=True)  # divides out
        return positive_features(queries, self.projection), torch.exp(exponents - largest.detach())


def elu_features(x: Tensor) -> Tensor:
    """Return elu(x) + 1, which is above 0."""
    return nn.functional.elu(x) + 1


def softmax_exponents(x: Tensor, projection: Tensor) -> Tensor:
    """Return w^T y - |y|^2 / 2 for y = x / size^(1/4) and the rows w of `projection`, `(features, size)`.

    The mean over random w of the product of two such features, as powers of e, is exp(q^T k / sqrt(size))
    (arXiv 2009.14794, lemma 1; kexue.fm 8338).
    """
    y = x / x.shape[-1] ** 0.25
    return y @ projection.T - (y * y).sum(dim=-1, keepdim=True) / 2


def positive_features(x: Tensor, projection: Tensor) -> Tensor:
    """Return exp of the exponents of queries `(..., size)`, divided by the largest per query."""
    exponents = softmax_exponents(x, projection)
    return torch.exp(exponents - exponents.amax(dim=-1, keepdim=True).detach())


def orthogonal_projection(features: int, size: int) -> Tensor:
    """Return random rows `(features, size)`, each with a standard normal distribution, and orthogonal within
    blocks of `size` rows, which lowers the variance (arXiv 2009.14794, section 2.4).
    """
    blocks = [torch.linalg.qr(torch.randn(size, size))[0].T for _ in range(-(-features // size))]
    directions = torch.cat(blocks)[:features]
    signs = torch.where(torch.rand(features, 1) < 0.5, -1.0, 1.0)
    return directions * signs * torch.randn(features, size).norm(dim=1, keepdim=True)
