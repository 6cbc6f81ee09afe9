"""`embedkit whiten`: a whitening map, fitted on vectors, its settings given or chosen on labelled pairs."""

from __future__ import annotations

from typing import Annotated

import typer

from embedkit.cli.command import command_app
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.systems import NoCache
from embedkit.cli.input_options import Files, TextOptions
from embedkit.cli.maps.fit import MapOutput, fit_to
from embedkit.cli.options import ClusterOptions, Common
from embedkit.cli.pairs import PairColumns, read_columns
from embedkit.errors import UsageError


def whiten(
    files: Files = None,
    output: MapOutput = ...,  # type: ignore[assignment]
    dim: Annotated[int | None, typer.Option(help="Dimensions to keep [the rank of the data].")] = None,
    beta: Annotated[float | None, typer.Option(help="Share of the mean to remove [1].")] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Share of the scale to remove: 1 whitens, 0 is PCA [1].")
    ] = None,
    shrinkage: Annotated[
        str | None,
        typer.Option(help="Shrink the covariance towards the identity, by 0 to 1 or by ledoit-wolf."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="PAIRS",
            help="Choose the settings that are not given, or no map at all, on these scored pairs of texts.",
        ),
    ] = None,
    columns: PairColumns = None,
    no_cache: NoCache = False,
    *,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Fit a whitening map on vectors, or on text, which is encoded first."""
    from embedkit import spec

    for name, given in (("--columns", columns is not None), ("--no-cache", no_cache)):
        if pairs is None and given:
            raise UsageError("applies only with --tune", where=name)
    settings = {
        "dim": dim,
        "beta": 1.0 if beta is None else beta,
        "gamma": 1.0 if gamma is None else gamma,
        "shrinkage": shrinkage,
    }
    kind = ",".join(f"{name}={value}" for name, value in settings.items() if value is not None)
    if pairs is None:
        cluster = clustering.cluster
        fit_to(output, f"whitening:{kind}", files, reading, encoding, common, cluster=cluster)
        return
    clustering.refuse("--tune")
    from embedkit.cli.maps.tune import tune_to

    wanted = spec.parse("transform", f"whitening:{kind}")
    chosen = {"dim": dim, "beta": beta, "gamma": gamma, "shrinkage": shrinkage}
    restricted = {name: (getattr(wanted, name),) for name, value in chosen.items() if value is not None}
    scored = read_columns(columns)
    tune_to(output, pairs, restricted, files, scored, reading, encoding, common, no_cache=no_cache)


app = command_app(whiten, epilog="Example: embedkit whiten docs.vec --dim 256 -o whiten.safetensors")
