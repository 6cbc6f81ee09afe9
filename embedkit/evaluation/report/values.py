"""Read values from JSON: numbers, values with intervals, and text that is safe to show."""

from __future__ import annotations

from typing import Any, NamedTuple

from embedkit.data.text.display import printable

_MOST = 1e100


class Value(NamedTuple):
    """A value, its 95 % interval if it has one, and, for a difference, its p-value."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def read_value(json: Any) -> Value:
    """Read a number, or an object with value, low and high; raise ValueError, TypeError or KeyError."""
    if not isinstance(json, dict):
        return Value(number(json))
    return Value(number(json["value"]), number(json["low"]), number(json["high"]))


def read_difference(json: Any) -> Value:
    """Read a difference, which also has a p-value; raise the errors of `read_value`."""
    return read_value(json)._replace(p=number(json["p"]))


def number(json: Any, above: float = -_MOST) -> float:
    """Return a number that is greater than `above` and can be drawn; raise ValueError otherwise."""
    if isinstance(json, bool) or not isinstance(json, int | float) or not above < json < _MOST:
        raise ValueError(f"{json!r:.40} is not a number, and cannot be drawn")
    return float(json)


def text(json: Any) -> str:
    """Return a value as text, with characters that are not printable replaced by spaces."""
    return printable(str(json))


def shown(value: float, largest: float) -> str:
    """Return a value as text, with the number of decimals that suits the value `largest`."""
    return f"{value:,.2f}" if largest >= 10 else f"{value:.4f}"


def signed(value: float, largest: float) -> str:
    """Return a difference as text, with its sign."""
    return f"{value:+,.2f}" if largest >= 10 else f"{value:+.4f}"
