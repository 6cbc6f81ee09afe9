"""Define the options of commands that write vectors: where they are written, and how they are stored."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.vectors.vector_set import Batch, VectorMeta

OUTPUT = "A vector set (a folder), or one file: .npy, .parquet, .arrow, .jsonl. Without it: standard output."


@dataclass(frozen=True)
class DestinationOptions:
    """Options that name where vectors are written."""

    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PATH", help=OUTPUT)] = None
    format: Annotated[
        Literal["jsonl", "arrow"], typer.Option("--format", help="Format of standard output.")
    ] = "jsonl"

    def write_to_standard_output(self, meta: VectorMeta, batches: Iterable[Batch]) -> None:
        """Write vectors to standard output, batch by batch."""
        from embedkit.data.vectors.vector_files import write_arrow_stream, write_jsonl

        if self.format == "arrow":
            write_arrow_stream(meta, batches, sys.stdout.buffer)
        else:
            write_jsonl(batches, sys.stdout.buffer, meta.dtype)


@dataclass(frozen=True)
class StorageOptions:
    """Options that set how vectors are stored, and which of them are made."""

    text: Annotated[bool, typer.Option("--text/--no-text", help="Keep the texts with the vectors.")] = True
    dtype: Annotated[
        Literal["float32", "float16", "int8", "binary"],
        typer.Option(help="Storage of the vectors: int8 takes 1/4 of the space, binary (signs) 1/32."),
    ] = "float32"
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Encode slice I of N; `embedkit merge` joins the slices."
        ),
    ] = None
    reuse: Annotated[
        Path | None,
        typer.Option("--reuse", metavar="SET", help="Copy the vectors of unchanged texts from this set."),
    ] = None

    def check(self, output: Path | None, *, cluster: str | None, force: bool) -> None:
        """Raise UsageError for options that cannot be used together, or with this output."""
        from embedkit.data.vectors.slices import parse_part
        from embedkit.data.vectors.vector_files import require_numbers
        from embedkit.data.vectors.vector_set import VectorMeta

        for name, given in (("--resume", self.resume), ("--shard", self.shard), ("--cluster", cluster)):
            if given and output is None:
                raise UsageError("needs an output", where=name, hint="name it with -o")
        if self.resume and force:
            raise UsageError("cannot be used with --force", where="--resume", hint="omit one of them")
        if self.shard is not None:
            parse_part(self.shard)
        require_numbers(VectorMeta(0, dtype=self.dtype), output)
        if self.dtype == "int8" and self.shard is not None:
            raise UsageError(
                "int8 codes need the ranges of the whole corpus, and a slice has only its own",
                where="--shard",
                hint="encode and merge float32 slices, then run embedkit reduce --method int8",
            )
