"""Tune the weight of an index's fused search on judged queries, and print what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.console import say
from embedkit.cli.eval.index_searches import encoded_queries, lacking
from embedkit.cli.eval.searches import read_queries
from embedkit.cli.input_options import TextEncoding
from embedkit.cli.options import Common
from embedkit.cli.printed_tables import difference_cells, estimate_cells, print_table, times_100
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.fusion_tuning import WeightChoice
    from embedkit.evaluation.means import Result


def tune_and_keep_weight(
    path: Path, queries: Path | None, qrels: str, texts: TextEncoding, common: Common
) -> None:
    """Choose the weight by cross-validation, keep it if its gain over the default is certain, and print the
    measured values.

    Raises UsageError without queries, or for an index that cannot be searched by words.
    """
    from embedkit.evaluation import fusion_tuning as tuning
    from embedkit.evaluation.judged_sets import read_task
    from embedkit.evaluation.measures import parse_measures
    from embedkit.indexing.edit import keep_weight
    from embedkit.indexing.store import Index

    if queries is None:
        raise UsageError("needs the judged queries", where="--qrels", hint="name their file with --queries")
    if str(queries) == qrels == "-":
        raise UsageError("standard input can be read only once", where="-")
    index, task = Index.open(path), read_task(qrels)
    index.require_lexical()  # before the queries are encoded
    given = read_queries([str(queries)], task, texts.reading)
    lacking(index, task, where=str(path))
    encoder = texts.encoding.load_for(index.identity, index.map, where=str(path))
    index.require_encoder(encoder)
    (measure,) = parse_measures([tuning.MEASURE])
    vectors = encoded_queries(encoder, given.records)
    values = tuning.weight_values(index, vectors, given.records, task, measure)
    try:
        choice = tuning.choose_weight(values, index.default_weight, seed=common.seed)
    except DataError as error:
        raise DataError(error.what, where=str(queries)) from None
    kept = tuning.kept_weight(choice, measure)
    if kept != index.manifest.weight:
        keep_weight(path, kept)
    results = tuning.weight_results(values, measure, index.default_weight, seed=common.seed)
    print_weights(common, path, choice, results, index.default_weight)


def print_weights(
    common: Common, path: Path, choice: WeightChoice, results: Sequence[Result], default: float
) -> None:
    """Print the values per weight as a table or as JSON, and say which weight is used from now on."""
    from embedkit.evaluation.fusion_tuning import FOLDS, WEIGHTS

    name, queries = results[0].name, len(choice.held_out)
    weight = choice.best if choice.is_certain else default
    held_out, before = 100 * float(choice.held_out.mean()), 100 * float(choice.default.mean())
    if common.json:
        facts: dict[str, object] = {"index": readable_name(path), "measure": name, "queries": queries}
        facts |= {"folds": FOLDS, "weight": weight, "best": choice.best, "default": default}
        facts |= {"held_out": round(held_out, 6), "difference": times_100(choice.gain)}
        lines = zip(WEIGHTS, results, strict=True)
        facts["weights"] = [{"weight": each, name: times_100(result.value)} for each, result in lines]
        print(json.dumps(facts))
        return
    rows = [
        [f"{each:g}", *estimate_cells(result.value), *difference_cells(result.gain)]
        for each, result in zip(WEIGHTS, results, strict=True)
    ]
    print_table(["weight", name, "95 %", f"to {default:g}", "95 %", "p"], rows)
    if not common.quiet:
        gain, interval, _ = difference_cells(choice.gain)
        kept = f"weight {weight:g} is kept" if choice.is_certain else f"the default weight {weight:g} stays"
        measured = (
            f"{name} is {held_out:.2f} with weights chosen on other queries, {before:.2f} with the default"
        )
        certainty = f"95 % {interval}; {counted(queries, 'query', 'queries')}"
        say(f"{path}: {kept}; {measured} {default:g}: {gain} ({certainty})")
