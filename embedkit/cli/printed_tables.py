"""Print values on standard output: one table for both people and pipes, and facts below it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from embedkit.data.text.display import printable

if TYPE_CHECKING:
    from embedkit.evaluation.bootstrap import Difference, Estimate


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """Print a table whose first `texts` columns contain words, and whose other columns contain numbers.

    On a terminal that is narrower than the table, words are folded; in a pipe, each row is one line.
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
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print one fact per line, with names padded to the longest name."""
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:<{width}}  {printable(fact)}")


def estimate_cells(figure: Estimate) -> list[str]:
    """Return a value and its interval, times 100, as cells."""
    return [f"{100 * figure.value:.2f}", f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"]


def difference_cells(gain: Difference | None) -> list[str]:
    """Return a difference and its interval, times 100, and its p-value as cells; hyphens for None."""
    if gain is None:
        return ["-", "-", "-"]
    interval = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return [f"{100 * gain.value:+.2f}", interval, f"{gain.p:.3f}"]


def times_100(figure: Estimate | Difference) -> dict[str, float]:
    """Return a value or a difference as JSON values, times 100; p-values are not multiplied."""
    values = figure._asdict()
    return {key: round(value * (1 if key == "p" else 100), 6) for key, value in values.items()}
