"""`embedkit whiten`: a whitening map, fitted on vectors."""

from __future__ import annotations

from typing import Annotated

import typer

from embedkit.cli.fit import MapOutput, fit_to
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions
from embedkit.cli.spread import command_app


def whiten(
    files: Files = None,
    output: MapOutput = ...,  # type: ignore[assignment]
    dim: Annotated[int | None, typer.Option(help="Dimensions to keep [the rank of the data].")] = None,
    beta: Annotated[float, typer.Option(help="How much of the mean is removed.")] = 1.0,
    gamma: Annotated[float, typer.Option(help="How much of the scale is removed; 0 is PCA.")] = 1.0,
    shrinkage: Annotated[
        str | None,
        typer.Option(help="0 to 1, or ledoit-wolf: the covariance is moved towards the identity."),
    ] = None,
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Fit a whitening map on vectors, or on text, which is encoded first."""
    settings = {"dim": dim, "beta": beta, "gamma": gamma, "shrinkage": shrinkage}
    kind = ",".join(f"{name}={value}" for name, value in settings.items() if value is not None)
    fit_to(output, f"whitening:{kind}", files, reading, encoding, common)


app = command_app(whiten, epilog="Example: embedkit whiten docs.vec --dim 256 -o whiten.safetensors")
