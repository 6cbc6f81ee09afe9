"""Close a command: print its facts as JSON, or a line to standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.console import say
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.cli.console import Progress
    from embedkit.cli.options import Common


def close(common: Common, facts: Mapping[str, object], *lines: str) -> None:
    """Print facts as JSON to standard output if `--json` is given, or else lines to standard error unless
    `--quiet` is given.
    """
    if common.json:
        print(json.dumps(facts))
    elif not common.quiet:
        for line in lines:
            say(line)


def close_rows(
    common: Common, progress: Progress, output: Path, *, rows: int, dimension: int, reader: object
) -> None:
    """Close a command that wrote `rows` vectors to `output`."""
    facts = {
        "output": readable_name(output),
        "rows": rows,
        "dimension": dimension,
        "seconds": round(progress.seconds, 3),
        "rows_per_second": round(progress.speed, 1),
        **skipped_counts(reader),
    }
    speed = f"{progress.seconds:.1f} s ({progress.speed:,.0f} rows/s)"
    size = f"{counted(rows, 'row')} of {dimension} dimensions"
    close(common, facts, f"{size} in {speed} -> {output}{after_semicolon(passed_over(reader))}")


def passed_over(reader: object) -> str:
    """Return the numbers of skipped lines and records as words for the closing line; empty if none were."""
    blank, skipped = getattr(reader, "blank", 0), getattr(reader, "skipped", 0)
    parts = [f"{counted(blank, 'blank line')}"] if blank else []
    parts += [f"{counted(skipped, 'unreadable record')}"] if skipped else []
    lines = [f"{' and '.join(parts)} skipped"] if parts else []
    folders = getattr(reader, "folders", None)
    return "; ".join([*lines, str(folders.counts)] if folders is not None else lines)


def say_passed_over(reader: object, common: Common) -> None:
    """Print the numbers of skipped lines and records to standard error, if there are any."""
    if (line := passed_over(reader)) and not common.quiet:
        say(line)


def skipped_counts(reader: object) -> dict[str, object]:
    """Return the numbers of blank lines and unreadable records that a reader skipped, 0 for vectors, and the
    counts of folders.
    """
    counts = {"blank": getattr(reader, "blank", 0), "skipped": getattr(reader, "skipped", 0)}
    folders = getattr(reader, "folders", None)
    return counts if folders is None else {**counts, "folders": folders.counts.to_json()}


def after_semicolon(words: str) -> str:
    """Return words as the last part of a line, or nothing if there are none."""
    return f"; {words}" if words else ""
