"""The weight of the fusion that was chosen on judged queries, as the manifest keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class TunedWeight:
    """A weight that replaces the default, and the gain that was measured for it on held-out queries, with its
    95 % interval.
    """

    weight: float
    measure: str
    queries: int
    value: float  # mean over the queries, each measured with the weight that is best on other queries
    default_value: float  # mean over the queries with the default weight
    low: float  # interval of the difference of the two
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"the weight must lie between 0 and 1, got {self.weight:g}")

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for the manifest."""
        return asdict(self)

    def __str__(self) -> str:
        gain = f"{100 * (self.value - self.default_value):+.2f}"
        interval = f"95 % {100 * self.low:+.2f} to {100 * self.high:+.2f}"
        return f"{self.weight:g} ({self.measure} {gain} on {self.queries:,} held-out queries, {interval})"
