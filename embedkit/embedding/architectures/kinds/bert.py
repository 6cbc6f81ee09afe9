"""BERT: softmax attention and a feed-forward part, each with layer normalisation after its residual (post
norm; Devlin et al. 2018, arXiv 1810.04805).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.embedding.architectures.sizes import Setting, WithAttention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Bert(WithAttention):
    """Settings of `bert`; at plain settings the network is transformers' own BertModel."""

    def own(self) -> dict[str, Setting]:
        """Return the settings of attention with post norm."""
        return {**self.attention(), "normalization": "post"}

    def build(self, *, vocabulary: int, padding: int, max_length: int) -> PreTrainedModel:
        """Return a BertModel without a pooler, or a network of embedkit's own for what BERT lacks."""
        if not self.is_plain:
            return super().build(vocabulary=vocabulary, padding=padding, max_length=max_length)
        from transformers import BertConfig, BertModel

        shared = self.shared(vocabulary=vocabulary, padding=padding, max_length=max_length)
        return BertModel(BertConfig(**shared, **self.inner()), add_pooling_layer=False)
