"""`embedkit reduce`: a map to fewer dimensions, random or fitted on vectors."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from embedkit.cli.fit import MapOutput, fit_to
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions
from embedkit.cli.spread import command_app


def reduce(
    files: Files = None,
    output: MapOutput = ...,  # type: ignore[assignment]
    dim: Annotated[int, typer.Option(help="Dimensions to keep.")] = ...,  # type: ignore[assignment]
    method: Annotated[
        Literal["pca", "gaussian", "sparse", "srht", "truncate"],
        typer.Option(help="pca looks at the vectors, the others at their width alone."),
    ] = "pca",
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Make a map to fewer dimensions, random or fitted."""
    fit_to(output, f"{method}:dim={dim}", files, reading, encoding, common)


app = command_app(
    reduce, epilog="Example: embedkit reduce docs.vec --method gaussian --dim 128 -o jl.safetensors"
)
