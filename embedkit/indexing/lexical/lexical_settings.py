"""The settings of an index's lexical part, as `--lexical` and the manifest write them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from embedkit import spec
from embedkit.indexing.lexical.analysis import Analysis


@dataclass(frozen=True)
class LexicalSettings(Analysis):
    """How documents become terms, and the parameters of BM25: `k1` bounds the weight of repeated terms, `b`
    is the share by which the length of a document counts (Robertson and Zaragoza 2009).
    """

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.k1 <= 1000:
            raise ValueError(f"k1 must lie between 0 and 1000, got {self.k1:g}")
        if not 0 <= self.b <= 1:
            raise ValueError(f"b must lie between 0 and 1, got {self.b:g}")

    @classmethod
    def parse(cls, text: str) -> LexicalSettings:
        """Read `language=en,k1=1.2,b=0.75`; raises UsageError for an unknown setting or value."""
        return spec.parse_settings(cls, text, where=text)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for the manifest."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.to_json().items())
