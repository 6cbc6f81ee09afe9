"""`embedkit eval sts`: does the cosine of two texts agree with what people say of them?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.figures import difference_cells, estimate_cells, print_facts, print_table, times_100
from embedkit.cli.options import Common, EncoderOptions
from embedkit.cli.pairs import PairColumns, read_columns
from embedkit.cli.plotting import PlotOptions
from embedkit.cli.protocol import interval_facts, version_facts
from embedkit.cli.systems import Compare, NoCache, System, encode_once, named_systems, system_facts

if TYPE_CHECKING:
    from embedkit.data.pairs import Pair
    from embedkit.embedding.encoder import Encoder
    from embedkit.evaluation.sts import Result, Scored

AGGREGATION = "all: all pairs as one file; mean: of the files' figures; wmean: the same, weighted by pairs"


def sts(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAIRS", help="Files of pairs: two texts, and a score or a label.", show_default=False
        ),
    ] = None,
    compare: Compare = None,
    columns: PairColumns = None,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap, for intervals.", min=100)] = 1000,
    no_cache: NoCache = False,
    *,
    picture: PlotOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Correlate the cosines of pairs with people's scores: Spearman and Pearson, times 100."""
    from embedkit.data.pairs import read_pairs
    from embedkit.evaluation.sts import evaluate, score, texts_of

    relay_warnings(common.quiet)
    picture.require(common)
    fields = read_columns(columns)
    sets = [(name, read_pairs(name, fields)) for name in input_names(files)]
    systems = named_systems(encoding, compare)
    texts = [text for _, pairs in sets for text in texts_of(pairs)]
    encoders = encode_once(systems, texts, common, no_cache=no_cache)
    scored = [score(name, pairs, encoders) for name, pairs in sets]
    results = evaluate(scored, resamples=resamples, seed=common.seed)
    _draw(picture, scored, results, [system.name for system in systems])
    protocol = _protocol(sets, systems, encoders) | interval_facts(resamples, common.seed, over="pairs")
    protocol |= version_facts(system.settings.model for system in systems)
    if common.json:
        print(json.dumps({"results": [_facts(each, systems) for each in results], "protocol": protocol}))
        return
    _print(results, [system.name for system in systems])
    print()
    print_facts(protocol)


def _draw(
    picture: PlotOptions, scored: Sequence[Scored], results: Sequence[Result], names: Sequence[str]
) -> None:
    from embedkit.evaluation.sts_plot import TITLE, draw

    picture.write(lambda: draw(scored, results, names), title=TITLE)


def _print(results: Sequence[Result], names: Sequence[str]) -> None:
    several = len(names) > 1
    heads = ["file", *(["system"] if several else []), "pairs", "Spearman", "95 %", "Pearson", "95 %"]
    heads += ["difference", "95 %", "p"] if several else []
    paths = list(dict.fromkeys(each.name for each in results))
    short = {path: Path(path).name for path in paths}
    shown = short if len(set(short.values())) == len(paths) else dict(zip(paths, paths, strict=True))
    rows = []
    for each in results:
        row = [shown[each.name], *([names[each.system]] if several else [])]
        row += [f"{each.rows:,}", *estimate_cells(each.spearman), *estimate_cells(each.pearson)]
        rows.append(row + (difference_cells(each.gain) if several else []))
    print_table(heads, rows, texts=1 + several)


def _facts(result: Result, systems: Sequence[System]) -> dict[str, Any]:
    """Return a result as JSON values, correlations times 100."""
    facts: dict[str, Any] = {"file": result.name, "system": systems[result.system].name}
    facts["pairs"] = result.rows
    figures = {"spearman": result.spearman, "pearson": result.pearson, "difference": result.gain}
    return facts | {name: times_100(figure) for name, figure in figures.items() if figure is not None}


def _protocol(
    sets: Sequence[tuple[str, list[Pair]]], systems: Sequence[System], encoders: Sequence[Encoder]
) -> dict[str, str]:
    """Return what must be known to make the figures again, intervals and versions apart."""
    facts = {"files": ", ".join(f"{name} ({len(pairs):,} pairs)" for name, pairs in sets)}
    if len(sets) > 1:
        facts["aggregation"] = AGGREGATION
    return facts | system_facts(systems, encoders)
