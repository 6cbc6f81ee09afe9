"""The network of a new model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedkit.errors import UnknownNameError
from embedkit.spec import parse_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEFAULT = "bert"


@dataclass(frozen=True)
class Bert:
    """Settings of `bert`, without a pooler (arXiv 1810.04805)."""

    layers: int = 4
    width: int = 256
    heads: int = 4

    def build(self, *, vocabulary: int, padding: int, max_length: int) -> PreTrainedModel:
        """Return a model with random weights for `vocabulary` tokens, of which `padding` is padding, and
        texts of `max_length` tokens.
        """
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.width,
            max_position_embeddings=max_length,
            pad_token_id=padding,
        )
        return BertModel(config, add_pooling_layer=False)


def architecture(text: str) -> Bert:
    """Return the architecture of a spec, such as `bert:layers=2`; raises UnknownNameError for another."""
    name, _, settings = text.partition(":")
    if name != DEFAULT:
        raise UnknownNameError(name, (DEFAULT,), what="architecture", where="`arch`")
    return parse_settings(Bert, settings, where=text)
