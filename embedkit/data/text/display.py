"""Texts and values as messages, tables and plots show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def printable(text: str) -> str:
    """Return text with a space in place of each character that is not printable and could control a
    terminal.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun: `1 query`, `1,234 queries`; the plural adds an s unless it is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def shown(value: Any) -> str:
    """Return a value as an error shows it, shortened."""
    return "null" if value is None else repr(value) if len(repr(value)) < 40 else f"{value!r:.36}..."


def named(column: str) -> str:
    """Return the name of a column, or what a column without one is called."""
    return column or "a column without a name"


def it_has(names: Sequence[str]) -> str:
    """Return a hint that lists a row's fields."""
    some = ", ".join(named(name) if len(name) < 24 else f"{name:.20}..." for name in names[:12])
    return f"it has {some or 'nothing'}{', ...' if len(names) > 12 else ''}"
