"""`embedkit index tune`: what recall an index has at which settings, measured and kept with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.console import relay_warnings, say
from embedkit.cli.index.query_options import Queries, asked_queries
from embedkit.cli.index.tuning_table import close_tuning
from embedkit.cli.input_options import TextEncoding
from embedkit.cli.options import Common, IndexPath, named
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.index.recall import MeasuredPoint

_K = 10  # hits at which recall is measured by default
TUNE_EPILOG = "Example: embedkit index tune docs.idx --queries questions.txt --recall .95"


@dataclass(frozen=True)
class TuneOptions:
    """Options of the measurement of an index, and the recall to reach."""

    queries: Queries = None
    qrels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Relevance judgements of --queries: choose the weight of `search --hybrid` on them, and "
            "measure no recall.",
        ),
    ] = None
    k: Annotated[
        int | None, typer.Option("-k", help="Number of hits at which recall is measured. [10]", min=1)
    ] = None
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Search at this recall from now on, for example .95. [only measure]"
        ),
    ] = None

    def check(self) -> None:
        """Raise UsageError for an invalid recall, or for options of recall in a choice of the weight."""
        if self.recall is not None and not 0 < self.recall <= 1:
            raise UsageError(f"must be above 0 and at most 1, got {self.recall:g}", where="--recall")
        if self.qrels is not None and (others := named({"-k": self.k, "--recall": self.recall})):
            hint = "drop it; recall is measured without --qrels"
            raise UsageError("does not apply to the weight", where=others[0], hint=hint)


def tune(path: IndexPath, *, tuning: TuneOptions, texts: TextEncoding, common: Common) -> None:
    """Measure recall and cost of the settings for search, and keep them for `search --recall`; or, with
    --qrels, choose the weight of vectors for `search --hybrid`.

    Truth is exact search of the vectors that the index stores; of codes kept without vectors that is what
    they decode to. Queries from the documents stand for questions that lie as near to them as they to each
    other; your own are better, the more so where documents come in near-copies.

    The weight is chosen by cross-validation on judged queries. It is kept only if its gain in nDCG@10 over
    the default is certain; otherwise the default stays.
    """
    from embedkit.cli.index.tune_weight import tune_and_keep_weight

    relay_warnings(common.quiet)
    tuning.check()
    if tuning.qrels is None:
        _tune_recall(path, tuning, texts, common)
    else:
        tune_and_keep_weight(path, tuning.queries, tuning.qrels, texts, common)


def _tune_recall(path: Path, tuning: TuneOptions, texts: TextEncoding, common: Common) -> None:
    from embedkit.evaluation.index.document_queries import stored
    from embedkit.evaluation.index.recall import curve
    from embedkit.evaluation.index.truth import find_truth
    from embedkit.evaluation.index.tuning import require_recall, settle, tuning_of
    from embedkit.indexing.store import Index

    index = Index.open(path)
    asked = asked_queries(index, tuning.queries, texts.reading, texts.encoding, common.seed)
    truth = find_truth(asked.vectors, stored(index), tuning.k or _K, asked.copies)
    measured = list(_announced(curve(index, truth, seed=common.seed), common))
    found = tuning_of(index, measured, asked, truth.k, common.seed)
    after, point = settle(index, found, tuning.recall)
    close_tuning(common, path, found, point)
    require_recall(after, found, tuning.recall)


def _announced(measured: Iterable[MeasuredPoint], common: Common) -> Iterator[MeasuredPoint]:
    """Yield points, and print each on a terminal as it comes."""
    for each in measured:
        if not common.quiet and sys.stderr.isatty():
            say(f"measured {each.point}")
        yield each
