"""`embedkit pairs`: documents without labels in, training pairs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit import spec
from embedkit.cli.closing import after_semicolon, close, passed_over, skipped_counts
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_kinds
from embedkit.cli.console import Progress, relay_warnings, say
from embedkit.cli.destination import file_or_standard_output
from embedkit.cli.input_options import TextsOrFolders
from embedkit.cli.options import Common
from embedkit.data.names import readable_name

if TYPE_CHECKING:
    from embedkit.adaptation.passage import PairMethod


def pairs(
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="KIND:KEY=VALUE,...",
            help=f"One of {', '.join(spec.kinds('pair'))}, with settings as in title:headings=first.",
            autocompletion=complete_kinds("pair"),
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Pairs, as JSON lines. Without it: standard output."
        ),
    ] = None,
    *,
    inputs: TextsOrFolders,
    common: Common,
) -> None:
    """Make training pairs of documents without labels: queries and their texts."""
    import orjson

    from embedkit.adaptation.pairs import PairCounts, make_pairs
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.inputs import open_text

    relay_warnings(common.quiet)
    chosen: PairMethod = spec.parse("pair", method)
    if output is not None:
        refuse_existing(output, force=common.force)
    counts = PairCounts()
    with open_text(inputs.names, inputs.format()) as reader, file_or_standard_output(output) as out:
        with Progress(common.quiet or output is None, reader) as progress:
            for pair in make_pairs(reader, chosen, seed=common.seed, counts=counts):
                out.write(orjson.dumps(pair._asdict(), option=orjson.OPT_APPEND_NEWLINE))
                progress.add(1)
        counts.require_pairs(chosen, where=reader.name)
    line = f"{counts.words(chosen)}{after_semicolon(passed_over(reader))}"
    if output is None:
        if not common.quiet:
            say(line)
        return
    facts = {"output": readable_name(output), **counts.to_json(), "seconds": round(progress.seconds, 3)}
    close(common, {**facts, **skipped_counts(reader)}, f"{line} -> {output}")


app = command_app(
    pairs,
    epilog="Example: embedkit pairs docs.jsonl --method inverse-cloze -o pairs.jsonl, "
    "then embedkit train-simcse pairs.jsonl -o model/",
)
