"""`embedkit fit`: a map of any kind, fitted on vectors; `whiten` and `reduce` are short for some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from embedkit import spec
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_kinds
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import Files, TextOptions
from embedkit.cli.maps.fit import MapOutput, fit_to
from embedkit.cli.options import ClusterOptions, Common

if TYPE_CHECKING:
    pass


def fit(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND:KEY=VALUE,...",
            help=f"{', '.join(spec.kinds('transform'))}, and its settings.",
            autocompletion=complete_kinds("transform"),
        ),
    ],
    files: Files = None,
    output: MapOutput = ...,  # type: ignore[assignment]
    target: Annotated[
        str | None,
        typer.Option(
            metavar="VECTORS",
            help="Vectors that the map leads to. For procrustes: the same texts in the same order, "
            "from another encoder; for householder: any vectors, whose mean direction is the "
            "target.",
        ),
    ] = None,
    *,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Fit a map of any kind on vectors, or on text, which is encoded first."""
    cluster = clustering.cluster
    fit_to(output, kind, files, reading, encoding, common, target=target, cluster=cluster)


app = command_app(
    fit,
    epilog="Examples: embedkit fit top-components:components=3 docs.vec -o map.safetensors; "
    "embedkit fit procrustes old.vec --target new.vec -o old-to-new.safetensors",
)
