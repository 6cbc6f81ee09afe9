"""Measure the sets of vectors that `embedkit eval geometry` describes and compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from embedkit.cli.console import Progress
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.geometry_table import GeometryRequest, GeometryResult, Positives
from embedkit.cli.options import Common
from embedkit.cli.pair_options import read_columns
from embedkit.errors import DataError

if TYPE_CHECKING:
    from embedkit.data.vectors.vector_set import Batch, VectorMeta
    from embedkit.evaluation.bootstrap import Estimate

POSITIVE = 0.8  # of the largest score, where --above does not say: 4 of 5, as Gao et al. 2021 take STS-B


def read_positives(name: str | None, above: float | None, columns: str | None) -> Positives | None:
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


def measure_set(
    name: str, meta: VectorMeta, batches: Iterable[Batch], asked: GeometryRequest, encoding: EncoderOptions
) -> GeometryResult:
    """Measure vectors, and the positive pairs if there are any."""
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


def measure_other(
    name: str, asked: GeometryRequest, encoding: EncoderOptions, common: Common
) -> GeometryResult:
    """Measure the set to compare with; its encoder is its own, run in the way that was asked for."""
    from embedkit.data.inputs import open_vectors

    with open_vectors(name) as source:
        run = {key: getattr(encoding, key) for key in ("device", "runtime", "precision", "allow_pickle")}
        progress = Progress(common.quiet, total=getattr(source, "rows", None))
        known = asked if source.meta.identity is not None else asked._replace(positives=None)
        return measure_set(name, source.meta, progress.track(source), known, EncoderOptions(**run))


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
