"""`embedkit report`: what evaluations said, as one page to read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from embedkit.cli.closing import close
from embedkit.cli.command import command_app
from embedkit.cli.console import input_names
from embedkit.cli.options import Common
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

TITLE = "Evaluation report"


def report(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JSON",
            help="Files that evaluations wrote with --json; - is standard input.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="File of the page, NAME.html.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = TITLE,
    *,
    common: Common,
) -> None:
    """Turn the JSON of evaluations into one HTML page that needs no network."""
    from embedkit.data.atomic import refuse_existing, write_whole
    from embedkit.evaluation.report import page

    if output is None:
        raise UsageError("is missing", where="-o", hint="name the page with -o report.html")
    refuse_existing(output, force=common.force)
    documents = [(name, _content(name)) for name in input_names(files)]
    write_whole(output, page.report(documents, title).encode())
    facts = {"output": readable_name(output), "evaluations": len(documents)}
    close(common, facts, f"{counted(len(documents), 'evaluation')} -> {output}")


def _content(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


app = command_app(report, epilog="Example: embedkit report sts.json geometry.json -o report.html")
