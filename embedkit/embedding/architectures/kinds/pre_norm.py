"""Pre norm: as BERT, with layer normalisation before attention and feed-forward part, and once at the end
(kexue.fm 9009; Xiong et al. 2020, arXiv 2002.04745).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.embedding.architectures.sizes import Setting, WithAttention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class PreNorm(WithAttention):
    """Settings of `pre-norm`; at plain settings the network is transformers' RobertaPreLayerNormModel."""

    def own(self) -> dict[str, Setting]:
        """Return the settings of attention with pre norm."""
        return {**self.attention(), "normalization": "pre"}

    def build(self, *, vocabulary: int, padding: int, max_length: int) -> PreTrainedModel:
        """Return a RobertaPreLayerNormModel without a pooler, whose positions start behind the padding id, or
        a network of embedkit's own for what it lacks.
        """
        if not self.is_plain:
            return super().build(vocabulary=vocabulary, padding=padding, max_length=max_length)
        from transformers import RobertaPreLayerNormConfig, RobertaPreLayerNormModel

        shared = self.shared(vocabulary=vocabulary, padding=padding, max_length=max_length)
        shared["max_position_embeddings"] = max_length + padding + 1
        config = RobertaPreLayerNormConfig(**shared, **self.inner(), bos_token_id=None, eos_token_id=None)
        return RobertaPreLayerNormModel(config, add_pooling_layer=False)
