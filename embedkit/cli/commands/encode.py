"""`embedkit encode`: text in, vectors out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import (
    Progress,
    input_names,
    kept_when_interrupted,
    passed_over,
    relay_warnings,
    report,
    say,
)
from embedkit.cli.options import ClusterOptions, Common, EncoderOptions, Files, TextOptions, named
from embedkit.data.names import readable_name
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.vector_set import DType
    from embedkit.embedding.encoder import Encoder

OUTPUT = "A vector set (a folder), or one file: .npy, .parquet, .arrow, .jsonl. Without it: standard output."


def encode(
    files: Files = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PATH", help=OUTPUT)] = None,
    format: Annotated[
        Literal["jsonl", "arrow"], typer.Option("--format", help="Format of standard output.")
    ] = "jsonl",
    text: Annotated[bool, typer.Option("--text/--no-text", help="Keep the texts with the vectors.")] = True,
    dtype: Annotated[
        Literal["float32", "float16", "int8", "binary"],
        typer.Option(help="Storage of the vectors: int8 takes 1/4 of the space, binary (signs) 1/32."),
    ] = "float32",
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Encode slice I of N; `embedkit merge` joins the slices."
        ),
    ] = None,
    reuse: Annotated[
        Path | None,
        typer.Option("--reuse", metavar="SET", help="Copy the vectors of unchanged texts from this set."),
    ] = None,
    *,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Turn text into vectors, in order, in constant memory."""
    from embedkit.data.inputs import open_text
    from embedkit.data.vectors.slices import parse_part, rows_of_part
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.embedding.encoding import encode_to, is_complete, refuse_output
    from embedkit.embedding.reuse import Reusing

    relay_warnings(common.quiet)
    names = input_names(files)
    _check(output, resume, common.force, shard, clustering.cluster)
    _check_dtype(output, dtype, shard)
    if output is not None and resume and is_complete(output):
        _tidy(output, common)
        return
    if output is not None:
        refuse_output(output, resume=resume, force=common.force)
    settings = {
        "inputs": [readable_name(name) for name in names],
        "runtime": encoding.runtime,
        "precision": encoding.precision,
    }
    options: dict[str, Any] = {"dtype": dtype, "with_text": text, "resume": resume, "force": common.force}
    if clustering.cluster is not None and output is not None:
        from embedkit.cli.cluster import encode_spread

        clustering.refuse(*named({"--shard": shard, "--reuse": reuse}))
        encode_spread(clustering.cluster, names, output, reading, encoding, common, settings, options)
        return
    with open_text(names, reading.format()) as reader:
        encoder = encoding.load()
        if reuse is not None:
            encoder = Reusing(encoder, VectorSet.open(reuse), dtype)
        if output is None:
            _stream(encoder, reader, format, text=text, dtype=dtype, common=common)
            return
        progress = Progress(common.quiet, reader)
        with kept_when_interrupted(output, common.quiet):
            progress.run(encode_to(output, encoder, reader, settings=settings, part=shard, **options))
        if isinstance(encoder, Reusing) and not common.quiet:
            say(f"{encoder.reused:,} vector{'s' * (encoder.reused != 1)} copied from {reuse}")
        rows = VectorSet.open(output).rows if output.is_dir() else reader.read
        if shard is not None:
            rows = rows_of_part(reader.read, *parse_part(shard))
        report(common, progress, output, rows=rows, dimension=encoder.identity.dimension, reader=reader)


def _check(output: Path | None, resume: bool, force: bool, shard: str | None, cluster: str | None) -> None:
    from embedkit.data.vectors.slices import parse_part

    for name, given in (("--resume", resume), ("--shard", shard), ("--cluster", cluster)):
        if given and output is None:
            raise UsageError("needs an output", where=name, hint="name it with -o")
    if resume and force:
        raise UsageError("cannot be used with --force", where="--resume", hint="omit one of them")
    if shard is not None:
        parse_part(shard)


def _check_dtype(output: Path | None, dtype: DType, shard: str | None) -> None:
    from embedkit.data.vectors.vector_files import require_numbers
    from embedkit.data.vectors.vector_set import VectorMeta

    require_numbers(VectorMeta(0, dtype=dtype), output)
    if dtype == "int8" and shard is not None:
        raise UsageError(
            "int8 codes need the ranges of the whole corpus, and a slice has only its own",
            where="--shard",
            hint="encode and merge float32 slices, then run embedkit reduce --method int8",
        )


def _stream(
    encoder: Encoder, reader: RecordReader, format: str, *, text: bool, dtype: DType, common: Common
) -> None:
    """Write to standard output, batch by batch."""
    from embedkit.data.vectors.vector_files import write_arrow_stream, write_jsonl
    from embedkit.embedding.encoding import describe, encode_batches, require_some

    batches = require_some(encode_batches(encoder, reader, first=256, with_text=text), reader)
    if format == "arrow":
        write_arrow_stream(describe(encoder, dtype=dtype, with_text=text), batches, sys.stdout.buffer)
    else:
        write_jsonl(batches, sys.stdout.buffer, dtype)
    if (line := passed_over(reader)) and not common.quiet:
        say(line)


def _tidy(output: Path, common: Common) -> None:
    """Answer a resume of what is complete; a kill between the last two steps leaves a journal in it."""
    from embedkit.data.vectors.shard_writing import drop_journal

    drop_journal(output)
    if not common.quiet:
        say(f"{output} is complete; nothing to resume")


app = command_app(encode, epilog="Example: zcat docs.txt.gz | embedkit encode -o docs.vec")
