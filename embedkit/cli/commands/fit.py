"""`embedkit fit`: a map of any kind, fitted on vectors; `whiten` and `reduce` are short for some."""

from __future__ import annotations

from typing import Annotated

import typer

from embedkit import spec
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_kinds
from embedkit.cli.input_options import Inputs
from embedkit.cli.maps.fit_map import MapOutput, fit_to
from embedkit.cli.options import ClusterOptions, Common


def fit(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND:KEY=VALUE,...",
            help=f"{', '.join(spec.kinds('transform'))}, and its settings.",
            autocompletion=complete_kinds("transform"),
        ),
    ],
    *,
    output: MapOutput,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="VECTORS",
            help="Vectors that the map leads to. For procrustes: the same texts in the same order, "
            "from another encoder; for householder: any vectors, whose mean direction is the "
            "target.",
        ),
    ] = None,
    clustering: ClusterOptions,
    inputs: Inputs,
    common: Common,
) -> None:
    """Fit a map of any kind on vectors, or on text, which is encoded first."""
    fit_to(output, kind, inputs, common, target=target, cluster=clustering.cluster)


app = command_app(
    fit,
    epilog="Examples: embedkit fit top-components:components=3 docs.vec -o map.safetensors; "
    "embedkit fit procrustes old.vec --target new.vec -o old-to-new.safetensors",
)
