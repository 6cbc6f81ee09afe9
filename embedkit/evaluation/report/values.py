"""Values as they stand in JSON: numbers, figures with intervals, and text that is safe to show."""

from __future__ import annotations

from typing import Any, NamedTuple

_MOST = 1e100


class Value(NamedTuple):
    """A figure, its 95 % interval where it has one, and, for a difference, its p."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def read_value(json: Any) -> Value:
    """Read a number, or an object of value, low and high; raises ValueError, TypeError or KeyError."""
    if not isinstance(json, dict):
        return Value(number(json))
    return Value(number(json["value"]), number(json["low"]), number(json["high"]))


def read_difference(json: Any) -> Value:
    """Read a difference, which has a p too; raises what `read_value` does."""
    return read_value(json)._replace(p=number(json["p"]))


def number(json: Any, above: float = -_MOST) -> float:
    """Return a number more than `above`, and not beyond what can be drawn; raises ValueError otherwise."""
    if isinstance(json, bool) or not isinstance(json, int | float) or not above < json < _MOST:
        raise ValueError(f"{json!r:.40} is not a number that could be drawn")
    return float(json)


def text(json: Any) -> str:
    """Return what a value says, without letters that would steer what shows it."""
    return "".join(letter if letter.isprintable() else " " for letter in str(json))


def shown(value: float, largest: float) -> str:
    """Return a figure with as many decimals as one of the size `largest` wants."""
    return f"{value:,.2f}" if largest >= 10 else f"{value:.4f}"


def signed(value: float, largest: float) -> str:
    """Return a difference of figures, with its sign."""
    return f"{value:+,.2f}" if largest >= 10 else f"{value:+.4f}"
