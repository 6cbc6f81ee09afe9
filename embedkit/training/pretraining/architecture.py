"""The network of a new model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.errors import UnknownNameError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEFAULT = "bert"
_LAYERS, _WIDTH, _HEADS = 4, 256, 4


def build(spec: str, *, vocabulary: int, padding: int, max_length: int) -> PreTrainedModel:
    """Return a model with random weights for `vocabulary` tokens and texts of `max_length` tokens; `padding`
    is the id of padding. Raises UnknownNameError for an architecture that does not exist.
    """
    if spec != DEFAULT:
        raise UnknownNameError(spec, (DEFAULT,), what="architecture", where="`arch`")
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=4 * _WIDTH,
        max_position_embeddings=max_length,
        pad_token_id=padding,
    )
    return BertModel(config, add_pooling_layer=False)
