"""`embedkit eval geometry`: which way vectors point, how they spread, and who is whose neighbour."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.console import Progress, input_names, passed_over, relay_warnings, say
from embedkit.cli.eval.geometry_table import (
    GeometryRequest,
    GeometryResult,
    Positives,
    agreement_facts,
    geometry_facts,
    print_geometry,
    protocol_of,
)
from embedkit.cli.eval.results import print_results
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions
from embedkit.cli.pairs import PairColumns, read_columns
from embedkit.cli.plotting import PlotOptions
from embedkit.cli.vector_input import open_as_vectors
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.vectors.vector_set import Batch, VectorMeta
    from embedkit.evaluation.bootstrap import Estimate

POSITIVE = 0.8  # of the largest score, where --above does not say: 4 of 5, as Gao et al. 2021 take STS-B


def geometry(
    files: Files = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="VECTORS",
            help="A second set to compare with, and the neighbours that both share; joined by id.",
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Scored pairs of texts for alignment; they are encoded as the vectors were."
        ),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", help="Score above which a pair counts as a paraphrase [.8 of the largest score]."
        ),
    ] = None,
    columns: PairColumns = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples for the intervals.", min=100)] = 1000,
    *,
    picture: PlotOptions,
    colour: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Field that colours the points of the plot.", rich_help_panel="Picture"
        ),
    ] = None,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Measure how vectors lie: directions, spectrum, effective rank, hubs; text is encoded first."""
    from embedkit.evaluation.geometry.vector_measures import GeometryProtocol, agree

    relay_warnings(common.quiet)
    _refuse_idle(picture, colour=colour, pairs=pairs, above=above, columns=columns)
    picture.require(common)
    protocol = GeometryProtocol(resamples=resamples, seed=common.seed)
    asked = GeometryRequest(protocol, _positives(pairs, above, columns), colour)
    names = input_names(files)
    with open_as_vectors(names, reading, encoding, common, with_text=False) as vectors:
        sets = [_measure(", ".join(names), vectors.meta, vectors.batches, asked, encoding)]
        if (line := passed_over(vectors.source)) and not common.quiet:
            say(line)
    shared = None
    if compare is not None:
        sets.append(_measure_other(compare, asked, encoding, common))
        shared = agree(sets[0].found, sets[1].found, protocol)
    _draw(picture, sets, colour)
    told = protocol_of(sets, asked, shared)
    both = {} if shared is None else {"agreement": agreement_facts(shared)}
    facts = [geometry_facts(each) for each in sets]
    print_results(common, lambda: print_geometry(sets, shared), facts, told, **both)


def _refuse_idle(picture: PlotOptions, **given: Any) -> None:
    """Raise UsageError for an option that would change nothing."""
    if given["colour"] is not None and picture.plot is None:
        raise UsageError("needs a picture to colour", where="--colour", hint="add --plot FILE")
    for name in ("above", "columns"):
        if given[name] is not None and given["pairs"] is None:
            raise UsageError("needs scored pairs", where=f"--{name}", hint="add --pairs FILE")


def _positives(name: str | None, above: float | None, columns: str | None) -> Positives | None:
    """Read the pairs that score above a threshold; raises DataError where none does."""
    from embedkit.data.text.scored_pairs import read_pairs

    if name is None:
        return None
    pairs = read_pairs(name, read_columns(columns))
    scores = [pair.score for pair in pairs]
    least = POSITIVE * max(scores) if above is None else above
    positives = [pair for pair in pairs if pair.score > least]
    if not positives:
        what = f"no pair scores above {least:g}; the scores are {min(scores):g} to {max(scores):g}"
        raise DataError(what, where=name, hint="lower --above")
    return Positives(name, positives, least, len(pairs))


def _measure(
    name: str, meta: VectorMeta, batches: Iterable[Batch], asked: GeometryRequest, encoding: EncoderOptions
) -> GeometryResult:
    from embedkit.evaluation.geometry.survey import survey
    from embedkit.evaluation.geometry.vector_measures import geometry

    protocol = asked.protocol
    aligned = _alignment(meta, asked, encoding, where=name)  # before the vectors: it may be refused
    try:
        found = survey(batches, protocol.sample, seed=protocol.seed, field=asked.colour)
        return GeometryResult(name, meta, found, geometry(found, protocol), aligned)
    except DataError as error:
        if error.where is None:
            raise DataError(error.what, where=name, hint=error.hint) from None
        raise


def _measure_other(
    name: str, asked: GeometryRequest, encoding: EncoderOptions, common: Common
) -> GeometryResult:
    """Measure the set to compare with; its encoder is its own, run in the way that was asked for."""
    from embedkit.data.inputs import open_vectors

    with open_vectors(name) as source:
        run = {key: getattr(encoding, key) for key in ("device", "runtime", "precision", "allow_pickle")}
        progress = Progress(common.quiet, total=getattr(source, "rows", None))
        known = asked if source.meta.identity is not None else asked._replace(positives=None)
        return _measure(name, source.meta, progress.track(source), known, EncoderOptions(**run))


def _alignment(
    meta: VectorMeta, asked: GeometryRequest, encoding: EncoderOptions, *, where: str
) -> Estimate | None:
    """Measure positive pairs with the encoder, and the map, that made the vectors."""
    from embedkit.evaluation.geometry.vector_measures import alignment
    from embedkit.evaluation.sts import cosines

    if asked.positives is None:
        return None
    own = dataclasses.replace(encoding, transform=None)
    encoder = own.load_for(meta.identity, meta.map, where=where)
    if meta.identity is not None:
        others = "the pairs' encoder"
        meta.identity.require_same_space(encoder.identity, where=where, mine="it", others=others)
    similarity = cosines(encoder, asked.positives.pairs)
    return alignment(similarity, resamples=asked.protocol.resamples, seed=asked.protocol.seed)


def _draw(picture: PlotOptions, sets: Sequence[GeometryResult], colour: str | None) -> None:
    from embedkit.evaluation.plots.geometry_plot import TITLE, Drawn, draw

    drawn = [Drawn(each.name, each.found, each.geometry.spectrum) for each in sets]
    picture.write(lambda: draw(drawn, colour), title=TITLE)
