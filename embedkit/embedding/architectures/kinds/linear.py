"""Linear attention: a kernel of queries and keys replaces the softmax, so that time grows with the length and
not with its square (kexue.fm 8610, 8338; Katharopoulos et al. 2020, arXiv 2006.16236; Choromanski et al.
2020, arXiv 2009.14794).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from embedkit.embedding.architectures.sizes import Normalization, Setting, WithHeads, require_counts


@dataclass(frozen=True)
class Linear(WithHeads):
    """Settings of `linear`: the features whose product is the kernel, `elu` for elu(x) + 1 or `performer` for
    positive random features of the softmax's kernel, their number per head with `performer`, and where the
    layers are normalised.
    """

    features: Literal["elu", "performer"] = "elu"
    count: int = 64
    normalization: Normalization = "post"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(count=self.count)
        if self.positions == "rotary" and self.count % 2:
            raise ValueError(f"positions=rotary needs an even count, not {self.count}")

    def own(self) -> dict[str, Setting]:
        """Return the settings of attention by a kernel."""
        return {
            **self.inner(),
            "mixing": "kernel-attention",
            "kernel": self.features,
            "feature_count": self.count if self.features == "performer" else self.width // self.heads,
            "positions": self.positions,
            "normalization": self.normalization,
        }
