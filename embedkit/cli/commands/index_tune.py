"""`embedkit index tune`: what recall an index has at which settings, measured and kept with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from embedkit.cli.commands.index_edit import IndexPath
from embedkit.cli.console import relay_warnings, say
from embedkit.cli.figures import print_table
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.errors import EmbedkitError, MismatchError, UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.index.recall import Measured
    from embedkit.evaluation.index.truth import Corpus
    from embedkit.indexing.kind import Floats, Rows
    from embedkit.indexing.operating_points import OperatingPoint, Tuning
    from embedkit.indexing.store import Index

TUNE_EPILOG = "Example: embedkit index tune docs.idx --queries questions.txt --recall .95"
FROM_DOCUMENTS = "documents, each turned by 45 degrees, its near-copies left out"
Queries = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Questions like those to come, or their vectors. [from the documents]"),
]


class Asked(NamedTuple):
    """Queries `(queries, dimension)` as the index compares them, and words for where they come from; of those
    from documents the near-copies, as `Drawn` has them.
    """

    vectors: Floats
    source: str
    copies: Rows | None = None


def tune(
    path: IndexPath,
    queries: Queries = None,
    k: Annotated[int, typer.Option("-k", help="Hits of which recall is measured.", min=1)] = 10,
    recall: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Search at this recall from now on: .95. [only measure]"),
    ] = None,
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Measure recall and cost of the settings for search, and keep them for `search --recall`.

    Truth is exact search of the vectors that the index stores; of codes kept without vectors that is what
    they decode to. Queries from the documents stand for questions that lie as near to them as they to each
    other; your own are better, the more so where documents come in near-copies.
    """
    from embedkit.evaluation.index.queries import stored
    from embedkit.evaluation.index.recall import curve
    from embedkit.evaluation.index.truth import find_truth
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    if recall is not None and not 0 < recall <= 1:
        raise UsageError(f"{recall:g} is not a share above 0, at most 1", where="--recall")
    index = Index.open(path)
    asked = asked_queries(index, queries, reading, encoding, common.seed)
    truth = find_truth(asked.vectors, stored(index), k, asked.copies)
    measured = list(_told(curve(index, truth, seed=common.seed), common))
    found = tuning_of(index, measured, asked, truth.k, common.seed)
    after, point = settle(index, found, recall)
    report_tuning(common, path, found, point)
    require_recall(after, found, recall)


def asked_queries(
    index: Index, queries: Path | None, reading: TextOptions, encoding: EncoderOptions, seed: int
) -> Asked:
    """Return the queries of a file, or queries drawn from the documents; raises MismatchError for vectors of
    another width.
    """
    from embedkit.evaluation.index.queries import stored

    if queries is None:
        return drawn_queries(stored(index), index.rows, seed)
    vectors = _read_vectors(index, str(queries), reading, encoding)
    return Asked(index.prepared(vectors), str(queries))


def drawn_queries(corpus: Corpus, rows: int, seed: int) -> Asked:
    """Return queries drawn from documents `(rows, dimension)`, a thousand at most."""
    from embedkit.evaluation.index.queries import QUERIES, turned_queries

    drawn = turned_queries(corpus, min(QUERIES, max(rows, 1)), seed)
    return Asked(drawn.queries, FROM_DOCUMENTS, drawn.copies)


def tuning_of(index: Index, measured: Iterable[Measured], asked: Asked, k: int, seed: int) -> Tuning:
    """Return measured points with what they were made with."""
    from embedkit.indexing.operating_points import Tuning

    points = tuple(each.point for each in measured)
    return Tuning(k, len(asked.vectors), seed, asked.source, index.rows, points)


def settle(index: Index, found: Tuning, recall: float | None) -> tuple[Index, OperatingPoint | None]:
    """Keep what was measured in the index, searched from then on at the quickest point that reaches the
    recall, at the best where none does, or as before where no recall was asked for.
    """
    from embedkit.indexing.edit import keep_tuning

    if recall is None:
        return keep_tuning(index.path, found), None
    point = found.cheapest(recall) or found.best
    return keep_tuning(index.path, found, point.settings), point


def require_recall(index: Index, found: Tuning, recall: float | None) -> None:
    """Raise EmbedkitError where no setting reaches the recall; the index is there nonetheless."""
    if recall is not None and found.cheapest(recall) is None:
        what = f"recall {recall:g} is not reached; the best is {found.best}"
        hint = "it is searched like this now; another kind, or --max-memory, leads further"
        raise EmbedkitError(what, where=str(index.path), hint=hint)


def report_tuning(common: Common, path: Path, found: Tuning, point: OperatingPoint | None) -> None:
    """Print the points as a table or as JSON, and say which one was chosen."""
    if common.json:
        facts: dict[str, Any] = {"index": str(path), **found.to_json()}
        print(json.dumps(facts | {"chosen": point and dict(point.settings)}))
        return
    heads = ["setting", f"recall@{found.k}", "95 %", "a query", "queries/s"]
    print_table(heads, [_cells(each) for each in found.points])
    if not common.quiet:
        say(f"{path}: {found.queries:,} queries from {found.source}")
        if point is not None:
            say(tuned_line(path, found, point))


def tuned_line(path: Path, found: Tuning, point: OperatingPoint) -> str:
    """Return the closing line: how the index is searched from now on."""
    return f"{path}: searched with {point}, recall@{found.k}, {point.milliseconds:.3g} ms a query"


def _cells(point: OperatingPoint) -> list[str]:
    setting = ",".join(f"{name}={value}" for name, value in point.settings.items()) or "as it is"
    interval = f"{point.low:.3f} to {point.high:.3f}"
    rate = f"{point.queries_a_second:,.0f}"
    return [setting, f"{point.recall:.4f}", interval, f"{point.milliseconds:.3g} ms", rate]


def _told(measured: Iterable[Measured], common: Common) -> Iterator[Measured]:
    """Pass points on, each said on a terminal as it comes."""
    import sys

    for each in measured:
        if not common.quiet and sys.stderr.isatty():
            say(f"measured {each.point}")
        yield each


def _read_vectors(index: Index, name: str, reading: TextOptions, encoding: EncoderOptions) -> Floats:
    import numpy as np

    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader
    from embedkit.embedding.encoder import require_finite

    with open_input([name], reading.format()) as source:
        if not isinstance(source, RecordReader):
            blocks = [batch.vectors for batch in source if len(batch.vectors)]
            if not blocks:
                raise UsageError("there is no query in it", where=name)
            if blocks[0].shape[1] != index.dimension:
                what = f"has {blocks[0].shape[1]} columns, the index {index.dimension}"
                raise MismatchError(what, where=name)
            return np.concatenate(blocks)
        texts = [record.text for record in source]
        if not texts:
            raise UsageError("there is no query in it", where=name)
    encoder = encoding.load_for(index.identity, index.map_file, where=str(index.path))
    index.require_encoder(encoder)
    vectors = encoder.encode(texts, "query")
    require_finite(vectors, texts)
    return vectors
