"""Print what `embedkit index tune` measured, as a table or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.console import say
from embedkit.cli.index.query_options import tuned_line
from embedkit.cli.options import Common
from embedkit.cli.printed_tables import print_table
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.indexing.operating_points import OperatingPoint, Tuning


def close_tuning(common: Common, path: Path, found: Tuning, point: OperatingPoint | None) -> None:
    """Print the points as a table or as JSON, and say which one was chosen."""
    if common.json:
        facts: dict[str, object] = {"index": readable_name(path), **found.to_json()}
        print(json.dumps(facts | {"chosen": point and dict(point.settings)}))
        return
    heads = ["setting", f"recall@{found.k}", "95 %", "per query", "queries/s"]
    print_table(heads, [_cells(each) for each in found.points])
    if not common.quiet:
        say(f"{path}: {counted(found.queries, 'query', 'queries')} from {found.source}")
        if point is not None:
            say(tuned_line(path, found, point))


def _cells(point: OperatingPoint) -> list[str]:
    setting = ",".join(f"{name}={value}" for name, value in point.settings.items()) or "as it is"
    interval = f"{point.low:.3f} to {point.high:.3f}"
    rate = f"{point.queries_a_second:,.0f}"
    return [setting, f"{point.recall:.4f}", interval, f"{point.milliseconds:.3g} ms", rate]
