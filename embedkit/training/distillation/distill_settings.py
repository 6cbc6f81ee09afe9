"""The settings of a distillation."""

from __future__ import annotations

from dataclasses import dataclass

from embedkit.errors import UsageError

FEWEST_TEXTS = 200  # with fewer, too few could be held out to choose anything by them


@dataclass(frozen=True)
class DistillSettings:
    """What a static encoder is distilled from, and how; recorded in `train.toml`."""

    inputs: tuple[str, ...] = ()
    model: str = "minilm"
    dim: int | None = 256  # None: the teacher's own dimensions, and its own space
    vocabulary: int = 0  # frequent words of the corpus that become tokens
    whole: bool = False  # True: texts as they are; False: their sentences
    refine: bool = True  # try gradient steps after the regression
    eval: str | None = None  # a file of scored pairs
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim is not None and self.dim < 1:
            raise UsageError(f"must be at least 1, got {self.dim}", where="`dim`")
        if self.vocabulary < 0:
            raise UsageError(f"must be at least 0, got {self.vocabulary}", where="`vocabulary`")
