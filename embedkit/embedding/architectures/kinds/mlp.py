"""MLP: two dense layers over positions mix the tokens in place of attention (kexue.fm 8431; Tolstikhin et al.
2021, arXiv 2105.01601).
"""

from __future__ import annotations

from dataclasses import dataclass

from embedkit.embedding.architectures.sizes import (
    Activation,
    Architecture,
    Normalization,
    Setting,
    require_counts,
)


@dataclass(frozen=True)
class MLP(Architecture):
    """Settings of `mlp`: the inner size of the layers over positions, the inner size of the feed-forward part
    as a multiple of the width, where the layers are normalised, and the activation.
    """

    positions_size: int = 128
    expansion: int = 4
    normalization: Normalization = "post"
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(positions_size=self.positions_size, expansion=self.expansion)

    def own(self) -> dict[str, Setting]:
        """Return the settings of layers over positions, which need no positions besides."""
        return {
            "mixing": "token-mlp",
            "token_size": self.positions_size,
            "intermediate_size": self.expansion * self.width,
            "positions": "none",
            "normalization": self.normalization,
            "hidden_act": self.activation,
            "initial_weights": "xavier",
        }
