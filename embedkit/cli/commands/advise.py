"""`embedkit advise`: how many dimensions vectors need, by rules of thumb and measured."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.closing import say_passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.systems import NoCache, load_cached, load_cached_for
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.plot_options import PlotOptions
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.names import with_readable_names
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.reservoir import Sample
    from embedkit.evaluation.dimensions.curves import Choice, LabelledPairs

_REDUCE = ("pca", "gaussian", "truncate")


@dataclass(frozen=True)
class AdviceOptions:
    """Options of the measurement, and the share that the map must keep."""

    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Scored pairs of texts; the Spearman correlation on them then decides."
        ),
    ] = None
    rows: Annotated[
        float | None,
        typer.Option(metavar="N", help="Number of vectors to plan for [the number given]."),
    ] = None
    keep: Annotated[
        float | None,
        typer.Option(help="Share of the measure to keep [.95 of the neighbours, .99 of Spearman]."),
    ] = None
    no_cache: NoCache = False

    def planned_rows(self) -> int | None:
        """Return the number of vectors to plan for, if it is given; raises UsageError below 2."""
        if self.rows is not None and not 2 <= self.rows < 1e18:
            raise UsageError(f"must be at least 2, got {self.rows:g}", where="--rows")
        return None if self.rows is None else int(self.rows)


def advise(*, advice: AdviceOptions, picture: PlotOptions, inputs: Inputs, common: Common) -> None:
    """Estimate how many dimensions the vectors need, by rules of thumb and by measurement.

    Text is encoded first.
    """
    from embedkit.cli.eval.advice_table import advice_facts, advice_lines
    from embedkit.evaluation.dimensions.curves import CurveProtocol, measure
    from embedkit.evaluation.dimensions.rules import rules_for

    relay_warnings(common.quiet)
    protocol = CurveProtocol(keep=advice.keep, seed=common.seed)
    planned = advice.planned_rows()
    names = inputs.names
    picture.require(common)
    sample, labelled = _sample(advice, inputs, common, protocol.sample)
    if sample.rows < 2:
        raise DataError("needs at least 2 rows to have neighbours, got 1", where=names[0])
    rules = rules_for(planned or sample.rows)
    measured = measure(sample, protocol, labelled)
    if picture.plot is not None:
        from embedkit.evaluation.plots import dimension_plot as plot

        picture.write(lambda: plot.draw(measured, protocol.k), title=plot.TITLE)
    following = _command(measured.choice, names, inputs.encoding)
    if common.json:
        facts = advice_facts(rules, measured, protocol, sample.rows, following)
        print(json.dumps(with_readable_names(facts)))
    else:
        for line in advice_lines(rules, measured, protocol, following):
            print(line)


def _sample(
    advice: AdviceOptions, inputs: Inputs, common: Common, rows: int
) -> tuple[Sample, LabelledPairs | None]:
    """Draw rows of the vectors, and encode the scored pairs as the vectors were, if there are any."""
    from embedkit.data.reservoir import draw
    from embedkit.data.vectors.vector_set import checked
    from embedkit.evaluation.dimensions.curves import label

    gold, encoding = _read_pairs(advice.pairs), inputs.encoding
    load = partial(load_cached, encoding, no_cache=advice.no_cache)
    with open_as_vectors(inputs, common, with_text=False, load=load) as vectors:
        labelled = None
        if gold is not None:
            made_by = (vectors.meta.identity, vectors.meta.map)
            where = inputs.names[0]
            encoder = load_cached_for(encoding, *made_by, where=where, no_cache=advice.no_cache)
            labelled = label(encoder, gold, where=advice.pairs)
        finite = checked(vectors.batches, vectors.meta.dimension)
        sample = draw((batch.vectors for batch in finite), rows, seed=common.seed)
        say_passed_over(vectors.source, common)
    return sample, labelled


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


app = command_app(advise, epilog="Example: embedkit advise docs.vec --pairs sts.tsv --rows 5e6")
