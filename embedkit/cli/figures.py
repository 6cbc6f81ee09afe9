"""Figures on standard output: one table for people and pipes alike, and facts under it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedkit.evaluation.bootstrap import Difference, Estimate


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """Print a table whose first `texts` columns are words, and the others numbers.

    A terminal narrower than the table folds its words; a pipe gets each row on a line of its own.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(heads):
        words = place < texts
        table.add_column(
            head, justify="left" if words else "right", overflow="fold", no_wrap=not words, min_width=4
        )
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print facts, a line each, their names as wide as the widest."""
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:<{width}}  {_printable(fact)}")


def estimate_cells(figure: Estimate) -> list[str]:
    """Return a figure and its interval, times 100, as cells."""
    return [f"{100 * figure.value:.2f}", f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"]


def difference_cells(gain: Difference | None) -> list[str]:
    """Return a difference, its interval, times 100, and its p as cells; hyphens where there is none."""
    if gain is None:
        return ["-", "-", "-"]
    interval = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return [f"{100 * gain.value:+.2f}", interval, f"{gain.p:.3f}"]


def times_100(figure: Estimate | Difference) -> dict[str, float]:
    """Return a figure or a difference as JSON values: times 100, and p as it is."""
    values = figure._asdict()
    return {key: round(value * (1 if key == "p" else 100), 6) for key, value in values.items()}


def _printable(text: str) -> str:
    """Return text without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
