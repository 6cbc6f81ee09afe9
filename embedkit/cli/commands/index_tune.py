"""`embedkit index tune`: what recall an index has at which settings, measured and kept with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.console import relay_warnings, say
from embedkit.cli.figures import print_table
from embedkit.cli.index.queries import Queries, asked_queries, tuned_line
from embedkit.cli.index.weight import tune_and_keep_weight
from embedkit.cli.options import Common, EncoderOptions, IndexPath, TextOptions, named
from embedkit.data.names import readable_name
from embedkit.errors import UsageError
from embedkit.evaluation.index.tuning import require_recall, settle, tuning_of

if TYPE_CHECKING:
    from embedkit.evaluation.index.recall import MeasuredPoint
    from embedkit.indexing.operating_points import OperatingPoint, Tuning

_K = 10  # hits at which recall is measured by default
TUNE_EPILOG = "Example: embedkit index tune docs.idx --queries questions.txt --recall .95"


def tune(
    path: IndexPath,
    queries: Queries = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Relevance judgements of --queries: choose the weight of `search --hybrid` on them, and "
            "measure no recall.",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="Number of hits at which recall is measured. [10]", min=1)
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Search at this recall from now on, for example .95. [only measure]"
        ),
    ] = None,
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Measure recall and cost of the settings for search, and keep them for `search --recall`; or, with
    --qrels, choose the weight of vectors for `search --hybrid`.

    Truth is exact search of the vectors that the index stores; of codes kept without vectors that is what
    they decode to. Queries from the documents stand for questions that lie as near to them as they to each
    other; your own are better, the more so where documents come in near-copies.

    The weight is chosen by cross-validation on judged queries. It is kept only if its gain in nDCG@10 over
    the default is certain; otherwise the default stays.
    """
    from embedkit.evaluation.index.document_queries import stored
    from embedkit.evaluation.index.recall import curve
    from embedkit.evaluation.index.truth import find_truth
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    if recall is not None and not 0 < recall <= 1:
        raise UsageError(f"must be above 0 and at most 1, got {recall:g}", where="--recall")
    if qrels is not None:
        if others := named({"-k": k, "--recall": recall}):
            hint = "drop it; recall is measured without --qrels"
            raise UsageError("does not apply to the weight", where=others[0], hint=hint)
        tune_and_keep_weight(path, queries, qrels, reading, encoding, common)
        return
    index = Index.open(path)
    asked = asked_queries(index, queries, reading, encoding, common.seed)
    truth = find_truth(asked.vectors, stored(index), k or _K, asked.copies)
    measured = list(_told(curve(index, truth, seed=common.seed), common))
    found = tuning_of(index, measured, asked, truth.k, common.seed)
    after, point = settle(index, found, recall)
    report_tuning(common, path, found, point)
    require_recall(after, found, recall)


def report_tuning(common: Common, path: Path, found: Tuning, point: OperatingPoint | None) -> None:
    """Print the points as a table or as JSON, and say which one was chosen."""
    if common.json:
        facts: dict[str, Any] = {"index": readable_name(path), **found.to_json()}
        print(json.dumps(facts | {"chosen": point and dict(point.settings)}))
        return
    heads = ["setting", f"recall@{found.k}", "95 %", "per query", "queries/s"]
    print_table(heads, [_cells(each) for each in found.points])
    if not common.quiet:
        say(f"{path}: {found.queries:,} queries from {found.source}")
        if point is not None:
            say(tuned_line(path, found, point))


def _cells(point: OperatingPoint) -> list[str]:
    setting = ",".join(f"{name}={value}" for name, value in point.settings.items()) or "as it is"
    interval = f"{point.low:.3f} to {point.high:.3f}"
    rate = f"{point.queries_a_second:,.0f}"
    return [setting, f"{point.recall:.4f}", interval, f"{point.milliseconds:.3g} ms", rate]


def _told(measured: Iterable[MeasuredPoint], common: Common) -> Iterator[MeasuredPoint]:
    """Pass points on, each said on a terminal as it comes."""
    import sys

    for each in measured:
        if not common.quiet and sys.stderr.isatty():
            say(f"measured {each.point}")
        yield each
