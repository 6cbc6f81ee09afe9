"""Answer the queries of a retrieval task by runs, by indexes, or by models that search a corpus."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.console import Progress, passed_over
from embedkit.cli.eval.protocol import Facts, encoder_facts
from embedkit.cli.eval.systems import System, load_cached_for, load_once, settings_for, system_facts
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.data.text.qrels import compared
from embedkit.errors import DataError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.text.records import Record
    from embedkit.embedding.encoder import Encoder
    from embedkit.evaluation.measures import Measure
    from embedkit.evaluation.retrieval import Answers, RunFigures, Task
    from embedkit.indexing.store import Index


class RetrievalRequest(NamedTuple):
    """The measures to compute, and the task with its judgements."""

    measures: list[Measure]
    task: Task


class Search(NamedTuple):
    """A search with its name in the table, and its values."""

    name: str
    figures: RunFigures


class SystemRun(NamedTuple):
    """All searches, facts that describe them, and the models that encoded their queries."""

    searches: list[Search]
    facts: Facts
    models: list[str]


class Queries(NamedTuple):
    """The given queries that belong to a task, and a description of all given queries."""

    records: list[Record]
    told: str


def of_runs(names: Sequence[str], asked: RetrievalRequest) -> SystemRun:
    """Measure runs, which are read from files."""
    from embedkit.data.text.runs import read_run

    searches = [_search(name, names, read_run(name).items(), asked) for name in names]
    for name, search in zip(names, searches, strict=True):
        if not search.figures.judged_hits:
            what = "%s: no document in it is judged for its query; are its ids those of the judgements?"
            logging.getLogger("embedkit").warning(what, name)
    return SystemRun(searches, numbered("run", names), [])


def of_indexes(
    names: Sequence[str],
    indexes: Sequence[Index],
    queries: Queries,
    k: int,
    asked: RetrievalRequest,
    encoding: EncoderOptions,
    *,
    no_cache: bool,
) -> SystemRun:
    """Search indexes, each with the encoder of its vectors, for `k` hits per query."""
    encoders = [_encoder_for(index, encoding, no_cache=no_cache) for index in indexes]
    searches: list[Search] = []
    facts: Facts = {"queries": queries.told}
    for name, index, encoder in zip(names, indexes, encoders, strict=True):
        absent = _absent(asked.task, _judged_ids(index, asked.task), where=name)
        answers = _answers(index, encoder, queries.records, asked.task.searched(k))
        searches.append(_search(name, names, answers, asked, k))
        number = f" {len(searches)}" if len(names) > 1 else ""
        told = f"{name} ({index.kind}, {index.metric}, {index.rows:,} documents{absent}), {k:,} hits a query"
        about = encoder_facts(encoder.identity, settings_for(encoding, index.identity), _maps(encoder))
        facts |= {f"{key}{number}": fact for key, fact in {"index": told, **about}.items()}
    return SystemRun(searches, facts, [encoder.identity.model for encoder in encoders])


def of_models(
    systems: Sequence[System],
    corpus: Sequence[str],
    queries: Queries,
    k: int,
    asked: RetrievalRequest,
    reading: TextOptions,
    common: Common,
    *,
    no_cache: bool,
) -> SystemRun:
    """Search a corpus exactly with each encoder and map, for `k` hits per query."""
    from embedkit.data.inputs import open_text
    from embedkit.evaluation.exact_search import search_corpus

    encoders = load_once(systems, no_cache=no_cache)
    texts = [record.text for record in queries.records]
    with open_text(corpus, reading.format()) as reader, Progress(common.quiet, reader) as progress:
        found = search_corpus(encoders, texts, reader, asked.task.searched(k), progress.add)
    absent = _absent(asked.task, frozenset(found.ids), where=", ".join(corpus))
    searches = []
    for system, hits in zip(systems, found.found, strict=True):
        answers = zip([compared(record.id) for record in queries.records], found.by_id(hits), strict=True)
        searches.append(_search(system.name, [system.name], answers, asked, k))
    over = passed_over(reader)
    told = f"{', '.join(corpus)} ({len(found.ids):,} documents{f'; {over}' if over else ''}{absent})"
    facts = {"queries": queries.told, "corpus": told, "search": f"exact, by cosine, {k:,} hits a query"}
    facts |= system_facts(systems, encoders)
    return SystemRun(searches, facts, [system.settings.model for system in systems])


def read_queries(names: Sequence[str], task: Task, reading: TextOptions) -> Queries:
    """Read the queries of a task, and count other queries; raise DataError if no query is in the task."""
    from embedkit.data.inputs import open_text

    kept: dict[str, Record] = {}
    first, others = None, 0
    with open_text(names, reading.format()) as reader:
        for record in reader:
            name = compared(record.id)
            if name in kept:
                raise DataError(f"id {name!r} occurs twice", where=reader.name)
            first = first or name
            if name in task.qrels:
                kept[name] = record
            else:
                others += 1
    if not kept:
        judged = f"{len(task.qrels):,} judged queries, such as {next(iter(task.qrels))!r}"
        what = f"has none of {judged}; its first is {first!r}" if first else "there is no query in the input"
        raise DataError(what, where=reader.name, hint="--id-field names the ids" if first else None)
    over = passed_over(reader)
    told = f"{len(kept) + others:,} queries, {others:,} of them left out as above or not judged"
    return Queries(list(kept.values()), f"{', '.join(names)} ({told}{f'; {over}' if over else ''})")


def numbered(name: str, told: Sequence[str]) -> Facts:
    """Return facts with one name, which is numbered if there are several."""
    return {f"{name} {number}" if len(told) > 1 else name: fact for number, fact in enumerate(told, 1)}


def _search(
    name: str, names: Sequence[str], answers: Answers, asked: RetrievalRequest, depth: int | None = None
) -> Search:
    """Measure the first `depth` hits of answers, or all hits; name the search by the last part of its path if
    that part is unique among `names`.
    """
    from embedkit.evaluation.retrieval import run_figures

    lasts = [Path(each).name for each in names]
    try:
        figures = run_figures(asked.measures, asked.task, answers, depth)
    except DataError as error:
        raise DataError(error.what, where=error.where or name, hint=error.hint) from None
    if figures.itself_relevant:
        what = (
            "%s: %d of the documents left out as their queries themselves %s relevant; use --keep-self if ids"
        )
        what += " of queries and documents have nothing to do with each other"
        are = "is" if figures.itself_relevant == 1 else "are"
        logging.getLogger("embedkit").warning(what, name, figures.itself_relevant, are)
    return Search(Path(name).name if lasts.count(Path(name).name) == 1 else name, figures)


def _encoder_for(index: Index, encoding: EncoderOptions, *, no_cache: bool) -> Encoder:
    """Return the encoder of an index's vectors, with the cache unless `no_cache`."""
    where = str(index.path)
    encoder = load_cached_for(encoding, index.identity, index.map, where=where, no_cache=no_cache)
    index.require_encoder(encoder)
    return encoder


def _maps(encoder: Encoder) -> list[AffineMap]:
    from embedkit.embedding.encoder import Mapped

    return [encoder.transform] if isinstance(encoder, Mapped) else []


def _answers(index: Index, encoder: Encoder, queries: Sequence[Record], k: int) -> Answers:
    """Search for queries window by window; only the ids of documents are read.

    Raises DataError for a query whose vector is not finite.
    """
    from embedkit.embedding.batching import windows
    from embedkit.embedding.encoder import require_finite

    for window in windows(queries, first=64):
        texts = [record.text for record in window]
        vectors = encoder.encode(texts, "query")
        require_finite(vectors, texts)
        for record, hits in zip(window, index.hits(vectors, k, ["id"]), strict=True):
            scores = {compared(hit.document["id"]): hit.score for hit in reversed(hits)}  # best score wins
            yield compared(record.id), scores


def _judged_ids(index: Index, task: Task) -> set[str]:
    """Return the ids of an index's documents that are judged for a query, as `compared` trims them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    judged = pa.array({document for grades in task.qrels.values() for document in grades}, pa.string())
    found: set[str] = set()
    for segment in index.segments:
        ids = pc.utf8_trim_whitespace(segment.ids())
        found.update(ids.filter(pc.is_in(ids, value_set=judged)).to_pylist())
    return found


def _absent(task: Task, there: Container[str], *, where: str) -> str:
    """Return words for the judgements of missing documents; empty if no document is missing."""
    from embedkit.evaluation.retrieval import absent_from

    try:
        absent = absent_from(there, task)
    except DataError as error:
        raise DataError(error.what, where=where, hint=error.hint) from None
    if not absent.judgements:
        return ""
    some = "judgement names a document" if absent.judgements == 1 else "judgements name documents"
    return f"; {absent.judgements:,} {some} that it lacks, {absent.relevant:,} of them relevant"
