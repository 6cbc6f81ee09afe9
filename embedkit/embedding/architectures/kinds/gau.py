"""Gated attention unit: one head of attention and a gated linear unit in a single layer (kexue.fm 8934, 8990,
9034; Hua et al. 2022, arXiv 2202.10447).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from embedkit.embedding.architectures.sizes import (
    Activation,
    Architecture,
    Normalization,
    Positions,
    Scale,
    Setting,
    require_counts,
)


@dataclass(frozen=True)
class GAU(Architecture):
    """Settings of `gau`: the size of queries and keys, how many times the width the gate has, the function of
    the logits, the factor on the logits of `softmax`, how positions enter, where the layer is normalised, and
    the activation of gate, values, and queries. Two layers have about the weights of one of BERT's.
    """

    layers: int = 8
    key_size: int = 64
    expansion: int = 2
    attention: Literal["softmax", "relu-squared"] = "softmax"
    scale: Scale | None = None
    positions: Positions = "rotary"
    normalization: Normalization = "post"
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(key_size=self.key_size, expansion=self.expansion)
        if self.positions == "rotary" and self.key_size % 2:
            raise ValueError(f"positions=rotary needs an even key_size, not {self.key_size}")
        if self.attention == "relu-squared" and self.scale == "log-length":
            raise ValueError("scale=log-length is for attention=softmax")

    def own(self) -> dict[str, Setting]:
        """Return the settings of gated attention; `softmax` is scaled by log n / log 512 unless set."""
        usual = "log-length" if self.attention == "softmax" else "plain"
        return {
            "mixing": "gated-attention",
            "intermediate_size": self.expansion * self.width,
            "key_size": self.key_size,
            "attention_function": self.attention,
            "attention_scale": usual if self.scale is None else self.scale,
            "positions": self.positions,
            "normalization": self.normalization,
            "hidden_act": self.activation,
            "initial_weights": "xavier",
        }
