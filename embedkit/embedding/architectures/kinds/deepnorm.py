"""DeepNorm: post norm whose residual is scaled by alpha, and whose initial weights by beta, so that very deep
networks train (kexue.fm 8978, 8994; Wang et al. 2022, arXiv 2203.00555, figure 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from embedkit.embedding.architectures.sizes import Setting, WithAttention


@dataclass(frozen=True)
class DeepNorm(WithAttention):
    """Settings of `deepnorm`: `alpha` scales the residual and `beta` the initial weights of values, outputs
    and feed-forward part; None takes the paper's values for an encoder of N layers, (2N)^(1/4) and
    (8N)^(-1/4). Both at 1 are plain post norm with Xavier's initial weights.
    """

    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}={value:g} is not above 0")

    def own(self) -> dict[str, Setting]:
        """Return the settings of attention with post norm, and the two scales as numbers."""
        return {
            **self.attention(),
            "normalization": "post",
            "residual_scale": (2 * self.layers) ** 0.25 if self.alpha is None else self.alpha,
            "initial_weights": "xavier",
            "initial_gain": (8 * self.layers) ** -0.25 if self.beta is None else self.beta,
        }
