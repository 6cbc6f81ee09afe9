"""`embedkit merge`: vector sets that were made apart become one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embedkit.cli.closing import close_rows
from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, relay_warnings
from embedkit.cli.options import Common


def merge(
    sets: Annotated[
        list[Path], typer.Argument(metavar="SET", help="Vector sets, or the slices of one corpus.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PATH", help="Folder of the new vector set.")
    ],
    *,
    common: Common,
) -> None:
    """Join vector sets of one encoder into one; parts made with --shard become the set of an unsplit run."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.vectors import slices
    from embedkit.data.vectors.vector_set import META, VectorSet

    relay_warnings(common.quiet)
    refuse_existing(output, force=common.force, marker=META)
    opened = [VectorSet.open(path) for path in sets]
    with Progress(common.quiet, total=sum(one.rows for one in opened)) as progress:
        merged = slices.merge(opened, output, progress.add)
    close_rows(common, progress, output, rows=merged.rows, dimension=merged.meta.dimension, reader=None)


app = command_app(merge, epilog="Example: embedkit merge a.vec b.vec -o docs.vec")
