"""`embedkit advise`: how many dimensions vectors need, by rules of thumb and measured."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import input_names, passed_over, relay_warnings, say
from embedkit.cli.eval.systems import NoCache, load_cached, load_cached_for
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions
from embedkit.cli.plotting import PlotOptions
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.names import with_readable_names
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.dimensions.curves import Choice, CurveProtocol, MeasuredCurves, Point
    from embedkit.evaluation.dimensions.rules import Rules

_REDUCE = ("pca", "gaussian", "truncate")


def advise(
    files: Files = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Scored pairs of texts; the Spearman correlation on them then decides."
        ),
    ] = None,
    rows: Annotated[
        float | None,
        typer.Option(metavar="N", help="Number of vectors to plan for [the number given]."),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(help="Share of the measure to keep [.95 of the neighbours, .99 of Spearman]."),
    ] = None,
    no_cache: NoCache = False,
    *,
    picture: PlotOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Estimate how many dimensions the vectors need, by rules of thumb and by measurement.

    Text is encoded first.
    """
    from embedkit.data.reservoir import draw
    from embedkit.data.vectors.vector_set import checked
    from embedkit.evaluation.dimensions.curves import CurveProtocol, label, measure
    from embedkit.evaluation.dimensions.rules import rules_for

    relay_warnings(common.quiet)
    protocol = CurveProtocol(keep=keep, seed=common.seed)
    planned = _rows(rows)
    names = input_names(files)
    picture.require(common)
    gold = _read_pairs(pairs)
    load = partial(load_cached, encoding, no_cache=no_cache)
    with open_as_vectors(names, reading, encoding, common, with_text=False, load=load) as vectors:
        labelled = None
        if gold is not None:
            made_by = (vectors.meta.identity, vectors.meta.map)
            encoder = load_cached_for(encoding, *made_by, where=names[0], no_cache=no_cache)
            labelled = label(encoder, gold, where=pairs)
        finite = checked(vectors.batches, vectors.meta.dimension)
        sample = draw((batch.vectors for batch in finite), protocol.sample, seed=common.seed)
        if (line := passed_over(vectors.source)) and not common.quiet:
            say(line)
    if sample.rows < 2:
        raise DataError("needs at least 2 rows to have neighbours, got 1", where=names[0])
    rules = rules_for(planned or sample.rows)
    measured = measure(sample, protocol, labelled)
    if picture.plot is not None:
        from embedkit.evaluation.plots import dimension_plot as plot

        picture.write(lambda: plot.draw(measured, protocol.k), title=plot.TITLE)
    following = _command(measured.choice, names, encoding)
    if common.json:
        print(json.dumps(with_readable_names(_facts(rules, measured, protocol, sample.rows, following))))
    else:
        for line in _lines(rules, measured, protocol, following):
            print(line)


def _rows(rows: float | None) -> int | None:
    if rows is not None and not 2 <= rows < 1e18:
        raise UsageError(f"must be at least 2, got {rows:g}", where="--rows")
    return None if rows is None else int(rows)


def _read_pairs(name: str | None) -> Any:
    from embedkit.data.text.scored_pairs import read_pairs
    from embedkit.evaluation.sts import require_order

    if name is None:
        return None
    pairs = read_pairs(name)
    require_order([pair.score for pair in pairs], where=name)  # before the work
    return pairs


def _command(choice: Choice | None, names: list[str], encoding: EncoderOptions) -> str | None:
    """Return the command that makes the map that is recommended."""
    if choice is None:
        return None
    point = choice.point
    words = ["embedkit", "fit", choice.spec, *names]
    if point.method in _REDUCE:
        words = ["embedkit", "reduce", *names, "--method", point.method, "--dim", str(point.dim)]
    words += ["-m", encoding.model] if encoding.model else []
    words += [word for path in encoding.transform or [] for word in ("-t", str(path))]
    return shlex.join([*words, "-o", f"{point.method}-{point.dim}.safetensors"])


def _facts(
    rules: Rules, measured: MeasuredCurves, protocol: CurveProtocol, rows: int, following: str | None
) -> dict[str, Any]:
    choice = measured.choice
    said = {**choice.point._asdict(), "spec": choice.spec, "reason": choice.reason} if choice else None
    return {
        "rules": asdict(rules),
        "rows": rows,
        "protocol": asdict(protocol),
        "fitted": measured.fitted,
        "measured": measured.measured,
        "queries": measured.queries,
        "full": {"overlap": 1.0, "spearman": measured.full_spearman},
        "curves": [point._asdict() for point in measured.points],
        "recommended": said,
        "next": following,
    }


def _lines(
    rules: Rules, measured: MeasuredCurves, protocol: CurveProtocol, following: str | None
) -> Iterator[str]:
    """Yield the page that people read, no line longer than 100 columns."""
    widest = max(point.dim for point in measured.points)
    near = f"{rules.distortion:.0%}"
    yield f"Rules of thumb for {rules.rows:,} vectors"
    yield f"  {rules.lemma:>7,}  Johnson-Lindenstrauss, 24 ln N / eps^2: every squared distance within {near}"
    yield f"  {rules.lemma_sharper:>7,}  the same, by the sharper bound of scikit-learn"
    yield f"  {rules.entropy:>7,}  entropy, 8.31 ln N: an order of magnitude, not a distance guarantee"
    if rules.lemma_sharper > widest:
        yield f"The lemma requires more than the {widest} dimensions of these vectors, so it gives no help."
    yield ""
    yield f"Measured: % of the {protocol.k} nearest neighbours by the full vectors that are kept"
    held_out = f"{measured.queries:,} held-out rows among {measured.measured:,}"
    yield f"({held_out}; fitted on {measured.fitted:,} others)"
    yield from _table(measured.points, "overlap")
    if measured.full_spearman is not None:
        yield ""
        yield f"Spearman x 100 on the pairs; full vectors: {100 * measured.full_spearman:.2f}"
        yield from _table(measured.points, "spearman")
    yield ""
    yield "svd: principal axes about the origin, pca: about the mean. Whitening moves neighbours on purpose:"
    yield "judge it with --pairs. int8 (of svd) and sign are codes of 1/4 and 1/32 of the bytes, searched"
    yield "without rescoring by full vectors."
    yield ""
    yield from _recommendation(measured.choice, following)


def _table(points: list[Point], name: str) -> Iterator[str]:
    """Yield a row a number of dimensions and a column a method; codes come with bytes of their own."""
    methods = list(dict.fromkeys(point.method for point in points))
    values = {(point.method, point.dim): point for point in points}
    yield f"{'dims':>5} {'bytes':>6}  " + " ".join(f"{method:>9}" for method in methods)
    for dim in sorted({point.dim for point in points}):
        cells = [values.get((method, dim)) for method in methods]
        shown = [f"{100 * getattr(cell, name):9.1f}" if cell else f"{'':>9}" for cell in cells]
        yield f"{dim:>5} {4 * dim:>6,}  {' '.join(shown)}".rstrip()


def _recommendation(choice: Choice | None, following: str | None) -> Iterator[str]:
    if choice is None:
        yield "Recommended: the full vectors; no map to fewer dimensions keeps enough (lower --keep)."
        return
    point = choice.point
    yield f"Recommended: {point.method} to {point.dim} dimensions,"
    yield f"  {choice.reason}."
    yield f"Next: {following}"


app = command_app(advise, epilog="Example: embedkit advise docs.vec --pairs sts.tsv --rows 5e6")
