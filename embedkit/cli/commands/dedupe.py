"""`embedkit dedupe`: near-duplicates of a corpus, as JSON lines."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import relay_warnings, say
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.free_names import free_names
from embedkit.data.text.display import counted


def dedupe(
    *,
    threshold: Annotated[
        float, typer.Option(metavar="COSINE", help="Least cosine of near-duplicates.")
    ] = 0.98,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Compare all pairs instead of skipping those that bounds show to be far apart."
        ),
    ] = False,
    inputs: Inputs,
    common: Common,
) -> None:
    """Find near-duplicates: documents that are similar enough to an earlier one.

    A line each, with the nearest of those before it. No pair is missed: from 20,000 documents on, bounds on
    angles leave out pairs that are far apart. Vectors lie in a temporary folder meanwhile.
    """
    import orjson

    from embedkit.indexing.building import build_index
    from embedkit.indexing.duplicates import near_duplicates, require_cosine

    relay_warnings(common.quiet)
    require_cosine(threshold)
    with tempfile.TemporaryDirectory(prefix="embedkit-") as folder:
        with open_as_vectors(inputs, common) as vectors:
            meta = vectors.meta.decoded()
            index = build_index(Path(folder) / "corpus.idx", meta, vectors.batches, lexical=None)
        found = 0
        for near in near_duplicates(index, threshold, exhaustive=exact or None):
            found += 1
            line = {"id": near.document.pop("id"), "duplicate_of": near.original, "cosine": near.cosine}
            fields = free_names(near.document, set(line))
            sys.stdout.buffer.write(orjson.dumps(line | fields, default=str) + b"\n")
        if not common.quiet:
            what = f"have a cosine of at least {threshold:g} to an earlier one"
            say(f"{found:,} of {counted(index.rows, 'document')} {what}")


app = command_app(dedupe, epilog="Example: embedkit dedupe docs.jsonl --threshold .95 > copies.jsonl")
