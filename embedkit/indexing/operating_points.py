"""Operating points: settings of a search with the recall that was measured for them, and their cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class OperatingPoint(NamedTuple):
    """Search settings, their recall of the exact nearest `k` with a 95 % interval, and their cost."""

    settings: Mapping[str, int]
    recall: float
    low: float
    high: float
    milliseconds: float  # median time of a single query
    queries_a_second: float  # throughput when all queries are searched at once

    def __str__(self) -> str:
        told = ",".join(f"{name}={value}" for name, value in self.settings.items()) or "as it is"
        return f"{told} {self.recall:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Tuning:
    """Operating points of one measurement, with the parameters of that measurement."""

    k: int
    queries: int
    seed: int
    source: str  # origin of the queries
    rows: int  # documents of the index when it was measured
    points: tuple[OperatingPoint, ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Tuning:
        """Read the JSON values that `to_json` wrote."""
        points = tuple(OperatingPoint(**point) for point in value["points"])
        return cls(**{**value, "points": points})

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for the manifest."""
        return {**asdict(self), "points": [point._asdict() for point in self.points]}

    def cheapest(self, recall: float) -> OperatingPoint | None:
        """Return the fastest point whose interval of recall lies at or above `recall`; None if no
        point does.
        """
        reaching = [point for point in self.points if point.low >= recall]
        return min(reaching, key=lambda point: point.milliseconds, default=None)

    @property
    def best(self) -> OperatingPoint:
        """Return the point with the highest lower bound of recall."""
        return max(self.points, key=lambda point: point.low)


def ladder(most: int = 4096) -> Iterator[int]:
    """Yield 1, 2, 3, 4, 6, 8, 12, 16 and so on up to `most`, in steps of a half and of a third."""
    value = 1
    while value <= most:
        yield value
        if value > 1 and value * 3 // 2 <= most:
            yield value * 3 // 2
        value *= 2
