"""`embedkit eval sts`: does the cosine of two texts agree with what people say of them?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.protocol import Facts, interval_facts, version_facts
from embedkit.cli.eval.result_tables import Row, print_results, print_rows
from embedkit.cli.eval.systems import Comparison, encode_once, system_facts
from embedkit.cli.options import Common
from embedkit.cli.pair_options import PairColumns, read_columns
from embedkit.cli.plot_options import PlotOptions
from embedkit.cli.printed_tables import times_100
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.data.text.scored_pairs import Pair
    from embedkit.evaluation.sts import Result, Scored

AGGREGATION = "all: all pairs as one file; mean: of the files' figures; wmean: the same, weighted by pairs"
TIES = "share their mean rank; where all cosines or all scores of a resample are equal, it is left out"


def sts(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAIRS",
            help="Files of pairs: two texts, and a score or a label; or folders of SemEval.",
            show_default=False,
        ),
    ] = None,
    columns: PairColumns = None,
    *,
    comparison: Comparison,
    picture: PlotOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Correlate the cosines of pairs with people's scores: Spearman and Pearson, times 100."""
    from embedkit.data.text.semeval import read_pair_sets
    from embedkit.evaluation.sts import evaluate, require_order, score, texts_of

    relay_warnings(common.quiet)
    picture.require(common)
    fields = read_columns(columns)
    sets = [each for name in input_names(files) for each in read_pair_sets(name, fields)]
    for name, pairs in sets:  # before the work
        require_order([pair.score for pair in pairs], where=name)
    systems = comparison.systems(encoding)
    texts = [text for _, pairs in sets for text in texts_of(pairs)]
    encoders = encode_once(systems, texts, common, no_cache=comparison.no_cache)
    scored = [score(name, pairs, encoders) for name, pairs in sets]
    results = evaluate(scored, resamples=comparison.resamples, seed=common.seed)
    names = [system.name for system in systems]
    _draw(picture, scored, results, names)
    protocol = _files(sets) | system_facts(systems, encoders) | {"ties": TIES}
    protocol |= interval_facts(comparison.resamples, common.seed, over="pairs")
    protocol |= version_facts(system.settings.model for system in systems)
    facts = [_facts(each, names) for each in results]
    print_results(common, lambda: _print(results, names), facts, protocol)


def _draw(
    picture: PlotOptions, scored: Sequence[Scored], results: Sequence[Result], names: Sequence[str]
) -> None:
    from embedkit.evaluation.plots.sts_plot import TITLE, draw

    picture.write(lambda: draw(scored, results, names), title=TITLE)


def _print(results: Sequence[Result], names: Sequence[str]) -> None:
    paths = list(dict.fromkeys(each.name for each in results))
    short = {path: Path(path).name for path in paths}
    shown = short if len(set(short.values())) == len(paths) else dict(zip(paths, paths, strict=True))
    rows = [
        Row(shown[each.name], each.system, [f"{each.rows:,}"], [each.spearman, each.pearson], each.gain)
        for each in results
    ]
    print_rows(["file", "pairs"], ["Spearman", "Pearson"], rows, names)


def _facts(result: Result, names: Sequence[str]) -> dict[str, object]:
    """Return a result as JSON values, correlations times 100."""
    facts: dict[str, object] = {"file": result.name, "system": names[result.system], "pairs": result.rows}
    figures = {"spearman": result.spearman, "pearson": result.pearson, "difference": result.gain}
    return facts | {name: times_100(figure) for name, figure in figures.items() if figure is not None}


def _files(sets: Sequence[tuple[str, list[Pair]]]) -> Facts:
    facts = {"files": ", ".join(f"{name} ({counted(len(pairs), 'pair')})" for name, pairs in sets)}
    return facts | ({"aggregation": AGGREGATION} if len(sets) > 1 else {})
