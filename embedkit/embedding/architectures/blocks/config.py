"""The configuration of embedkit's own network, as `config.json` keeps it."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from embedkit.embedding.architectures.model_type import MODEL_TYPE

UNLIMITED = -1  # positions of a network that reads texts of any length, as XLNet's configuration says it


class EncoderConfig(PretrainedConfig):  # type: ignore[misc]
    """Sizes under the names that transformers gives them, and the choices of the kinds.

    `mixing` is how tokens exchange information: `attention`, `gated-attention`, `kernel-attention` or
    `token-mlp`. Without learned positions or layers over positions, texts have any length.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        *,
        mixing: str = "attention",
        normalization: str = "post",
        positions: str = "learned",
        attention_scale: str = "plain",
        attention_function: str = "softmax",
        initial_weights: str = "normal",
        **sizes: Any,
    ) -> None:
        self.mixing, self.normalization, self.positions = mixing, normalization, positions
        self.attention_scale, self.attention_function = attention_scale, attention_function
        self.initial_weights = initial_weights
        for name, default in _SIZES.items():
            setattr(self, name, sizes.pop(name, default))
        if positions != "learned" and mixing != "token-mlp":
            self.max_position_embeddings = UNLIMITED
        super().__init__(**sizes)


_SIZES: dict[str, int | float | str] = {
    "vocab_size": 8000,
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "hidden_act": "gelu",
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,  # standard deviation of `normal` initial weights
    "initial_gain": 1.0,  # factor on some of the `xavier` initial weights
    "residual_scale": 1.0,  # DeepNorm's alpha
    "key_size": 64,  # of gated attention
    "token_size": 128,  # inner size of layers over positions
    "kernel": "elu",
    "feature_count": 64,  # features of the kernel per head
}
