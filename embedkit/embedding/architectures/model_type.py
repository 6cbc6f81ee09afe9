"""The model type of embedkit's own network in `config.json`, and which of these networks others have too."""

from __future__ import annotations

from collections.abc import Mapping

MODEL_TYPE = "embedkit-encoder"
BERT_ACTIVATIONS = ("gelu", "relu", "silu")  # that transformers has under the same names
_BERT = {
    "mixing": ("attention",), "normalization": ("post",), "positions": ("learned",),
    "attention_scale": ("plain",), "hidden_act": BERT_ACTIVATIONS,
}  # fmt: skip


def is_own(config: Mapping[str, object]) -> bool:
    """Return whether a configuration is that of embedkit's own network."""
    return config.get("model_type") == MODEL_TYPE


def difference_from_bert(config: Mapping[str, object]) -> str | None:
    """Return the first setting of embedkit's own network by which BERT does not compute its vectors, such as
    `mixing=gated-attention`; None if BERT does, with other weights.
    """
    for name, values in _BERT.items():
        if config.get(name) not in values:
            return f"{name}={config.get(name)}"
    return None
