"""Convert values to coordinates of a drawing: the ends of bars, the points of lines, the ticks of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from embedkit.evaluation.report.sections import Chart
from embedkit.evaluation.report.values import Value

WIDTH, HEIGHT = 640, 300  # size of a chart, in drawing units
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 40  # margins


class Bar(NamedTuple):
    """A bar from `start` with `length`, its interval, and the position of zero, all in % of the width."""

    start: float
    length: float
    low: float | None
    high: float | None
    zero: float


class Tick(NamedTuple):
    """A mark on an axis: its position and its label."""

    at: float
    label: str


class Drawing(NamedTuple):
    """A chart with the ticks of both axes, and the name, the line and the points of each curve."""

    chart: Chart
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[tuple[str, str, list[tuple[float, float]]]]


class Scale(NamedTuple):
    """A mapping of numbers between `low` and `high` to positions between `start` and `end`; it is logarithmic
    if `base` is given.
    """

    low: float
    high: float
    start: float
    end: float
    base: int | None

    def __call__(self, value: float) -> float:
        """Return the position of a number."""
        low, high, value = (self._even(each) for each in (self.low, self.high, value))
        return round(self.start + (self.end - self.start) * (value - low) / ((high - low) or 1), 2)

    def _even(self, value: float) -> float:
        return value if self.base is None else math.log(value)

    def ticks(self) -> list[Tick]:
        """Return a few round numbers between the ends."""
        found = _even_ticks(self.low, self.high) if self.base is None else self._powers()
        return [Tick(self(value), f"{value:,.10g}") for value in found]

    def _powers(self) -> list[float]:
        """Return powers of the base; for base 10, also 2 and 5 times them if there are fewer than 3."""
        assert self.base is not None
        first = math.floor(math.log(self.low, self.base) + 1e-9)
        last = math.floor(math.log(self.high, self.base) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / 9))
        powers = [float(self.base) ** power for power in range(first, last + 1, step)]
        found = self._inside(powers)
        few = self.base == 10 and len(found) < 3
        return self._inside([factor * power for power in powers for factor in (1, 2, 5)]) if few else found

    def _inside(self, values: Sequence[float]) -> list[float]:
        return [value for value in values if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def _even_ticks(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten, about five of them."""
    rough = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def bars(values: Sequence[Value], full: float | None = None) -> list[Bar]:
    """Return bars that start at zero, on one scale that covers all values, their intervals, and `full`."""
    ends = [end for each in values for end in (each.value, each.low, each.high) if end is not None]
    scale = Scale(min(0.0, *ends), max(full or 0.0, *ends), 0, 100, None)
    zero = scale(0)
    return [
        Bar(
            min(zero, scale(each.value)),
            round(abs(scale(each.value) - zero), 2),
            None if each.low is None else scale(each.low),
            None if each.high is None else scale(each.high),
            zero,
        )
        for each in values
    ]


def drawing(chart: Chart) -> Drawing | None:
    """Return a chart with the positions of its points, or None if it has no points."""
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return None
    across, up = ([point[side] for point in points] for side in (0, 1))
    x = Scale(min(across), max(across), LEFT, WIDTH - RIGHT, chart.x_base)
    low = min(up) if chart.y_base is None else min(*up, max(up) / 100)  # flat looks flat
    y = Scale(low, max(up), HEIGHT - BOTTOM, TOP, chart.y_base)
    lines = []
    for curve in chart.curves:
        places = [(x(a), y(b)) for a, b in curve.points]
        lines.append(
            (curve.name, " ".join(f"{a},{b}" for a, b in places), places if len(places) < 40 else [])
        )
    return Drawing(chart, x.ticks(), y.ticks(), lines)
