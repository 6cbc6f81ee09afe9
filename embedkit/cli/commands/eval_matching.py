"""`embedkit eval matching`: does a text find its partner among the partners of all texts?"""

from __future__ import annotations

from typing import Annotated

import typer

from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.protocol import interval_facts, version_facts
from embedkit.cli.eval.result_tables import mean_facts, print_means, print_results
from embedkit.cli.eval.systems import Comparison, encode_once, system_facts
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import Common
from embedkit.data.text.display import counted
from embedkit.errors import DataError, UsageError

RULE = "the assignment of second to first texts with the largest sum of cosines"


def matching(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAIRS",
            help="Files of two texts per row, such as title and abstract.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B", help="Fields of the two texts [chosen by their names]."),
    ] = None,
    *,
    comparison: Comparison,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """See whether each text finds its partner, by the nearest one and by matching one to one, times 100."""
    from embedkit.data.text.examples import read_examples
    from embedkit.evaluation.matching import evaluate_matching, matches, require_size

    relay_warnings(common.quiet)
    names = input_names(files)
    examples = read_examples(names, reading.format(), _two(columns))
    if len(examples.columns) < 2:
        raise DataError("has one text per row, expected two", where=names[0], hint="name them with --columns")
    pairs = [(row[0], row[1]) for row in examples.rows]
    require_size(pairs)
    systems = comparison.systems(encoding)
    texts = [text for pair in pairs for text in pair]
    encoders = encode_once(systems, texts, common, no_cache=comparison.no_cache)
    values = [matches(encoder, pairs) for encoder in encoders]
    results = evaluate_matching(values, resamples=comparison.resamples, seed=common.seed)
    protocol = {"files": f"{', '.join(names)} ({counted(len(pairs), 'pair')})", "one to one": RULE}
    protocol |= system_facts(systems, encoders)
    protocol |= interval_facts(comparison.resamples, common.seed, over="pairs")
    protocol |= version_facts(system.settings.model for system in systems)
    labels = [system.name for system in systems]
    facts = [
        {"system": name, "pairs": len(pairs)} | mean_facts(results, system, _key)
        for system, name in enumerate(labels)
    ]
    print_results(common, lambda: print_means("matched by", results, labels), facts, protocol)


def _two(columns: str | None) -> list[str] | None:
    names = [name.strip() for name in columns.split(",")] if columns is not None else None
    if names is not None and (len(names) != 2 or not all(names)):
        raise UsageError(f"{columns!r} does not name two fields", where="--columns", hint="write A,B")
    return names


def _key(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")
