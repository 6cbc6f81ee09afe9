"""The settings that architectures share, and the network that they make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from embedkit.embedding.architectures.model_type import BERT_ACTIVATIONS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Setting = str | int | float | None

Activation = Literal["gelu", "relu", "silu", "softplus", "squareplus", "smooth-relu"]
Normalization = Literal["post", "pre"]
Positions = Literal["learned", "rotary", "none"]
Scale = Literal["plain", "log-length"]

EPSILON = 1e-12  # of layer normalisation, as BERT has it


@dataclass(frozen=True)
class Architecture:
    """The settings of every architecture: the number of layers, the dimension of token vectors, and the rate
    of dropout.

    A kind is a frozen dataclass that inherits from this class and defines `own`.
    """

    layers: int = 4
    width: int = 256
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_counts(layers=self.layers, width=self.width)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout:g} is not a rate from 0 to below 1")

    def own(self) -> dict[str, Setting]:
        """Return the settings of the network that differ between kinds, by the names of `EncoderConfig`."""
        raise NotImplementedError

    def build(self, *, vocabulary: int, padding: int, max_length: int) -> PreTrainedModel:
        """Return a model with random weights from torch's generator: `(input_ids, attention_mask)`, each
        `(texts, tokens)`, give `.last_hidden_state`, `(texts, tokens, width)`.

        `vocabulary` is the number of tokens, `padding` the id of the padding token, and `max_length` the most
        tokens per text, special ones included.
        """
        from embedkit.embedding.architectures.blocks.config import EncoderConfig
        from embedkit.embedding.architectures.blocks.model import BlockEncoder

        settings: dict[str, Any] = self.shared(vocabulary=vocabulary, padding=padding, max_length=max_length)
        return BlockEncoder(EncoderConfig(**(settings | self.own())))

    def shared(self, *, vocabulary: int, padding: int, max_length: int) -> dict[str, Setting]:
        """Return the settings that every network has, by their names in transformers."""
        require_counts(vocabulary=vocabulary, max_length=max_length)
        if not 0 <= padding < vocabulary:
            raise ValueError(f"padding={padding} is not a token among {vocabulary}")
        return {
            "vocab_size": vocabulary,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "max_position_embeddings": max_length,
            "pad_token_id": padding,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
            "layer_norm_eps": EPSILON,
        }


@dataclass(frozen=True)
class WithHeads(Architecture):
    """The settings of layers with several heads and a feed-forward part: the number of heads, how many times
    the width the inner layer has, how positions enter, and the activation of the inner layer.
    """

    heads: int = 4
    expansion: int = 4
    positions: Positions = "learned"
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(heads=self.heads, expansion=self.expansion)
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is not a multiple of heads={self.heads}")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(f"positions=rotary needs heads of even size, not {self.width // self.heads}")

    def inner(self) -> dict[str, Setting]:
        """Return the sizes of heads and inner layer, and the activation, by their names in transformers."""
        return {
            "num_attention_heads": self.heads,
            "intermediate_size": self.expansion * self.width,
            "hidden_act": self.activation,
        }


@dataclass(frozen=True)
class WithAttention(WithHeads):
    """The settings of layers with softmax attention: also the factor on its logits, which is `log-length` for
    log n / log 512 with n tokens in the text (kexue.fm 8823).
    """

    scale: Scale = "plain"

    @property
    def is_plain(self) -> bool:
        """True when transformers has this network under another name."""
        plain = self.positions == "learned" and self.scale == "plain"
        return plain and self.activation in BERT_ACTIVATIONS

    def attention(self) -> dict[str, Setting]:
        """Return the settings of the attention and the inner layer, by the names of `EncoderConfig`."""
        return {**self.inner(), "positions": self.positions, "attention_scale": self.scale}


def require_counts(**values: int) -> None:
    """Raise ValueError for a number below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name}={value} is not at least 1")
