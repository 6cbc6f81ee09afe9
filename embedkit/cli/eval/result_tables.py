"""Print the results of several systems as one table, or as JSON values, with the protocol below them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from embedkit.cli.eval.protocol import Facts
from embedkit.cli.options import Common
from embedkit.cli.printed_tables import difference_cells, estimate_cells, print_facts, print_table, times_100
from embedkit.data.names import with_readable_names

if TYPE_CHECKING:
    from embedkit.evaluation.bootstrap import Difference, Estimate
    from embedkit.evaluation.means import Result


class Row(NamedTuple):
    """A line of the table: the name of what was measured, the number of the system, counts and values."""

    what: str
    system: int
    counts: list[str]
    figures: list[Estimate]
    gain: Difference | None


def print_results(
    common: Common,
    show: Callable[[], None],
    results: Sequence[dict[str, object]],
    protocol: Facts,
    **others: Any,
) -> None:
    """Print JSON if it was requested; otherwise call `show`, and print the protocol below."""
    if common.json:
        facts = {"results": results, **others, "protocol": protocol}
        print(json.dumps(with_readable_names(facts)))
        return
    show()
    print()
    print_facts(protocol)


def print_rows(
    heads: Sequence[str], figures: Sequence[str], rows: Iterable[Row], names: Sequence[str]
) -> None:
    """Print a table with the columns `heads` (what was measured, counts) and `figures`, each with its
    interval; with several systems, also their `names` and the difference of each from the first.
    """
    several = len(names) > 1
    system, gain = (["system"], ["difference", "95 %", "p"]) if several else ([], [])
    intervals = [head for figure in figures for head in (figure, "95 %")]
    cells = [
        [row.what, *([names[row.system]] if several else []), *row.counts]
        + [cell for figure in row.figures for cell in estimate_cells(figure)]
        + (difference_cells(row.gain) if several else [])
        for row in rows
    ]
    print_table([heads[0], *system, *heads[1:], *intervals, *gain], cells, texts=1 + several)


def print_means(what: str, results: Sequence[Result], names: Sequence[str]) -> None:
    """Print a table of means; the column `what` contains their names."""
    rows = [Row(each.name, each.system, [], [each.value], each.gain) for each in results]
    print_rows([what], ["value"], rows, names)


def mean_facts(results: Sequence[Result], system: int, key: Callable[[str], str] = str) -> dict[str, object]:
    """Return the means of one system as JSON values, times 100; `key` maps their names to keys."""
    own = {key(each.name): each for each in results if each.system == system}
    facts: dict[str, object] = {name: times_100(each.value) for name, each in own.items()}
    gains = {name: times_100(each.gain) for name, each in own.items() if each.gain is not None}
    return facts | ({"difference": gains} if gains else {})
