"""Operating points: the recall that an index was measured to have at settings of a search, and their cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class OperatingPoint(NamedTuple):
    """What a search at some settings finds of the true nearest `k`, with a 95 % interval, and its cost."""

    settings: Mapping[str, int]
    recall: float
    low: float
    high: float
    milliseconds: float  # the median of a query alone
    queries_a_second: float  # of all queries at once

    def __str__(self) -> str:
        told = ",".join(f"{name}={value}" for name, value in self.settings.items()) or "as it is"
        return f"{told} {self.recall:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Tuning:
    """Operating points of one measurement, and what it was made with."""

    k: int
    queries: int
    seed: int
    source: str  # of the queries
    rows: int  # documents of the index at that time
    points: tuple[OperatingPoint, ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Tuning:
        """Read what `to_json` wrote."""
        points = tuple(OperatingPoint(**point) for point in value["points"])
        return cls(**{**value, "points": points})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values for the manifest."""
        return {**asdict(self), "points": [point._asdict() for point in self.points]}

    def cheapest(self, recall: float) -> OperatingPoint | None:
        """Return the quickest point whose recall is at least `recall` for all that is known: the lower end of
        its interval reaches it. None where there is none.
        """
        reaching = [point for point in self.points if point.low >= recall]
        return min(reaching, key=lambda point: point.milliseconds, default=None)

    @property
    def best(self) -> OperatingPoint:
        """The point of the highest recall."""
        return max(self.points, key=lambda point: point.low)


def ladder(most: int = 4096) -> Iterator[int]:
    """Yield 1, 2, 3, 4, 6, 8, 12, 16 and so on: steps of a half and of a third."""
    value = 1
    while value <= most:
        yield value
        if value > 1 and value * 3 // 2 <= most:
            yield value * 3 // 2
        value *= 2
