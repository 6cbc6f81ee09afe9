"""`embedkit apply`: maps put behind vectors that are there already, or behind an encoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import input_names, passed_over, relay_warnings, report, say
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions
from embedkit.cli.vector_input import VectorInput, open_as_vectors
from embedkit.data.vectors.vector_files import write_to
from embedkit.errors import UsageError

if TYPE_CHECKING:
    pass

OUTPUT = "A vector set (a folder), or one file: .npy, .parquet, .arrow, .jsonl. Without it: standard output."


def apply(
    files: Files = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PATH", help=OUTPUT)] = None,
    format: Annotated[
        Literal["jsonl", "arrow"], typer.Option("--format", help="Format of standard output.")
    ] = "jsonl",
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Apply maps to vectors, one after the other, in constant memory.

    Text is encoded first.
    """
    from embedkit.embedding.encoding import refuse_output

    relay_warnings(common.quiet)
    if not encoding.transform:
        raise UsageError("is missing", where="--transform", hint="name a map with -t")
    names = input_names(files)
    if output is not None:
        refuse_output(output, resume=False, force=common.force)
    with open_as_vectors(names, reading, encoding, common) as vectors:
        if output is None:
            _stream(vectors, format)
            if (line := passed_over(vectors.source)) and not common.quiet:
                say(line)
            return
        write_to(output, vectors.meta, vectors.batches, force=common.force)
        rows, dimension = vectors.progress.rows, vectors.meta.dimension
        report(common, vectors.progress, output, rows=rows, dimension=dimension, reader=vectors.source)


def _stream(vectors: VectorInput, format: str) -> None:
    from embedkit.data.vectors.vector_files import write_arrow_stream, write_jsonl

    if format == "arrow":
        write_arrow_stream(vectors.meta, vectors.batches, sys.stdout.buffer)
    else:
        write_jsonl(vectors.batches, sys.stdout.buffer, vectors.meta.dtype)


app = command_app(apply, epilog="Example: embedkit apply -t whiten.safetensors docs.vec -o docs.w.vec")
