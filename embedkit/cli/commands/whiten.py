"""`embedkit whiten`: a whitening map, fitted on vectors, its settings given or chosen on labelled pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from embedkit.cli.command import command_app
from embedkit.cli.input_options import Inputs
from embedkit.cli.maps.fit_map import MapOutput, fit_to
from embedkit.cli.maps.tuning_options import TuningOptions
from embedkit.cli.options import ClusterOptions, Common


@dataclass(frozen=True)
class WhiteningOptions:
    """Settings of a whitening map."""

    dim: Annotated[int | None, typer.Option(help="Dimensions to keep [the rank of the data].")] = None
    beta: Annotated[float | None, typer.Option(help="Share of the mean to remove [1].")] = None
    gamma: Annotated[
        float | None, typer.Option(help="Share of the scale to remove: 1 whitens, 0 is PCA [1].")
    ] = None
    shrinkage: Annotated[
        str | None,
        typer.Option(help="Shrink the covariance towards the identity, by 0 to 1 or by ledoit-wolf."),
    ] = None

    def spec(self) -> str:
        """Return the spec of the map, with the defaults of this command."""
        defaults = {"dim": None, "beta": 1.0, "gamma": 1.0, "shrinkage": None}
        settings = {**defaults, **self.given()}
        return "whitening:" + ",".join(
            f"{name}={value}" for name, value in settings.items() if value is not None
        )

    def given(self) -> dict[str, Any]:
        """Return the settings given on the command line, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def whiten(
    *,
    output: MapOutput,
    whitening: WhiteningOptions,
    tuning: TuningOptions,
    clustering: ClusterOptions,
    inputs: Inputs,
    common: Common,
) -> None:
    """Fit a whitening map on vectors, or on text, which is encoded first."""
    from embedkit import spec

    tuning.check()
    if tuning.pairs is None:
        fit_to(output, whitening.spec(), inputs, common, cluster=clustering.cluster)
        return
    clustering.refuse("--tune")
    from embedkit.cli.maps.tune_whitening import tune_to

    settings = spec.parse("transform", whitening.spec())
    tune_to(output, tuning, {name: getattr(settings, name) for name in whitening.given()}, inputs, common)


app = command_app(whiten, epilog="Example: embedkit whiten docs.vec --dim 256 -o whiten.safetensors")
