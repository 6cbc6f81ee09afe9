"""`embedkit doctor`: what is installed, which features of the machine are used, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import say
from embedkit.cli.options import Common

if TYPE_CHECKING:
    from embedkit.cli.doctor.finding import Finding


def doctor(
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Also compile minilm and compare it with torch; this takes a minute at most."
        ),
    ] = False,
    *,
    common: Common,
) -> None:
    """Check the installation, the processor features in use, and what is wrong."""
    findings = examine(full=full)
    wrong = [finding for finding in findings if finding.wrong]
    if common.json:
        print(json.dumps({"healthy": not wrong, "findings": [each._asdict() for each in findings]}, indent=2))
    else:
        _print(findings)
    for each in wrong:
        say(f"{each.group}: {each.name}: {each.found}{f'; {each.advice}' if each.advice else ''}")
    if wrong:
        raise typer.Exit(1)
    if not common.quiet and not common.json:
        say("nothing is wrong")


def examine(*, full: bool = False) -> list[Finding]:
    """Look at everything, in the order in which it is told."""
    from embedkit.cli.doctor import installed, machine_findings, self_test

    parts = [
        installed.program, self_test.telemetry, installed.packages, installed.extras,
        machine_findings.machine, machine_findings.cache, installed.models, self_test.quick,
        *([self_test.full] if full else []),
    ]  # fmt: skip
    return [finding for part in parts for finding in part()]


def _print(findings: Sequence[Finding]) -> None:
    from embedkit.cli.printed_tables import print_table

    rows, group = [], ""
    for each in findings:
        rows.append(["" if each.group == group else each.group, each.name, _found(each), each.advice])
        group = each.group
    print_table(["", "what", "found", ""], rows, texts=4)


def _found(finding: Finding) -> str:
    return f"WRONG: {finding.found}" if finding.wrong else finding.found


app = command_app(doctor, epilog="Example: embedkit doctor --full")
