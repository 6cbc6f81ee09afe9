"""`embedkit eval geometry`: which way vectors point, how they spread, and who is whose neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from embedkit.cli.closing import say_passed_over
from embedkit.cli.console import relay_warnings
from embedkit.cli.eval.geometry_sets import measure_other, measure_set, read_positives
from embedkit.cli.eval.geometry_table import (
    GeometryRequest,
    GeometryResult,
    agreement_facts,
    geometry_facts,
    print_geometry,
    protocol_of,
)
from embedkit.cli.eval.result_tables import print_results
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.pair_options import PairColumns
from embedkit.cli.plot_options import PlotOptions
from embedkit.cli.vector_input import open_as_vectors
from embedkit.errors import UsageError


@dataclass(frozen=True)
class GeometryOptions:
    """Options of the measures of vectors."""

    compare: Annotated[
        str | None,
        typer.Option(
            metavar="VECTORS",
            help="A second set to compare with, and the neighbours that both share; joined by id.",
        ),
    ] = None
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Scored pairs of texts for alignment; they are encoded as the vectors were."
        ),
    ] = None
    above: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", help="Score above which a pair counts as a paraphrase [.8 of the largest score]."
        ),
    ] = None
    columns: PairColumns = None
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples for the intervals.", min=100)] = 1000


@dataclass(frozen=True)
class ColouredPlot(PlotOptions):
    """Options for a plot whose points have colours."""

    colour: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field that colours the points of the plot.")
    ] = None


def geometry(*, measuring: GeometryOptions, picture: ColouredPlot, inputs: Inputs, common: Common) -> None:
    """Measure how vectors lie: directions, spectrum, effective rank, hubs; text is encoded first."""
    from embedkit.evaluation.geometry.vector_measures import GeometryProtocol, agree

    relay_warnings(common.quiet)
    _refuse_idle(measuring, picture)
    picture.require(common)
    protocol = GeometryProtocol(resamples=measuring.resamples, seed=common.seed)
    positives = read_positives(measuring.pairs, measuring.above, measuring.columns)
    asked = GeometryRequest(protocol, positives, picture.colour)
    with open_as_vectors(inputs, common, with_text=False) as vectors:
        name = ", ".join(inputs.names)
        sets = [measure_set(name, vectors.meta, vectors.batches, asked, inputs.encoding)]
        say_passed_over(vectors.source, common)
    shared = None
    if measuring.compare is not None:
        sets.append(measure_other(measuring.compare, asked, inputs.encoding, common))
        shared = agree(sets[0].found, sets[1].found, protocol)
    _draw(picture, sets)
    told = protocol_of(sets, asked, shared)
    both = {} if shared is None else {"agreement": agreement_facts(shared)}
    facts = [geometry_facts(each) for each in sets]
    print_results(common, lambda: print_geometry(sets, shared), facts, told, **both)


def _refuse_idle(measuring: GeometryOptions, picture: ColouredPlot) -> None:
    """Raise UsageError for an option that would change nothing."""
    if picture.colour is not None and picture.plot is None:
        raise UsageError("needs a picture to colour", where="--colour", hint="add --plot FILE")
    for name in ("above", "columns"):
        if getattr(measuring, name) is not None and measuring.pairs is None:
            raise UsageError("needs scored pairs", where=f"--{name}", hint="add --pairs FILE")


def _draw(picture: ColouredPlot, sets: Sequence[GeometryResult]) -> None:
    from embedkit.evaluation.plots.geometry_plot import TITLE, Drawn, draw

    drawn = [Drawn(each.name, each.found, each.geometry.spectrum) for each in sets]
    picture.write(lambda: draw(drawn, picture.colour), title=TITLE)
