"""Answer the queries of a retrieval task by runs, by indexes, or by models that search a corpus."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.console import Progress, passed_over
from embedkit.cli.eval.protocol import Facts, encoder_facts
from embedkit.cli.eval.rankings import RankingOptions, RankingRule
from embedkit.cli.eval.systems import System, load_cached_for, load_once, settings_for, system_facts
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.data.text.qrels import compared
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.text.records import Record
    from embedkit.embedding.encoder import Encoder
    from embedkit.evaluation.measures import Measure
    from embedkit.evaluation.retrieval import Answers, RunFigures, Task
    from embedkit.indexing.kind import Floats
    from embedkit.indexing.store import Index

_BLOCK_QUERIES = 256  # queries whose hits are held at a time


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
    ranked: RankingOptions,
    encoding: EncoderOptions,
    *,
    no_cache: bool,
) -> SystemRun:
    """Search indexes by each rule of ranking for `k` hits per query; queries are encoded once per index, by
    the encoder of its vectors.
    """
    rules = [ranked.rules(index) for index in indexes]
    if encoding != EncoderOptions() and not any(rule.uses_vectors for own in rules for rule in own):
        what = "applies to vectors, and words alone are searched"
        raise UsageError(what, where="-m and -t", hint="drop them, or search with --hybrid")
    encoders = [
        _encoder_for(index, encoding, no_cache=no_cache) if any(rule.uses_vectors for rule in own) else None
        for index, own in zip(indexes, rules, strict=True)
    ]
    searches: list[Search] = []
    told: list[str] = []
    facts: Facts = {"queries": queries.told}
    for place, (name, index, encoder, own) in enumerate(zip(names, indexes, encoders, rules, strict=True), 1):
        absent = _absent(asked.task, _judged_ids(index, asked.task), where=name)
        vectors = None if encoder is None else _encoded(encoder, queries.records)
        for rule in own:
            answers = _answers(index, rule, vectors, queries.records, asked.task.searched(k))
            search = _search(name, names, answers, asked, k)
            searches.append(search._replace(name=_ruled_name(search.name, rule, len(own), len(names))))
            told.append(rule.described(index))
        about = f"{name} ({index.kind}, {index.metric}, {index.rows:,} documents{absent}), {k:,} hits a query"
        found = {"index": about} | ({} if encoder is None else _encoder_facts(encoder, index, encoding))
        number = f" {place}" if len(names) > 1 else ""
        facts |= {f"{key}{number}": fact for key, fact in found.items()}
    if any(rule.uses_words for own in rules for rule in own):
        facts |= numbered("ranking", told)
    return SystemRun(searches, facts, [each.identity.model for each in encoders if each is not None])


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
    with open_text(corpus, reading.format()) as reader:
        follow = Progress(common.quiet, reader).track
        found = search_corpus(encoders, texts, reader, asked.task.searched(k), follow)
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


def read_task(name: str, *, keep_self: bool = False) -> Task:
    """Read judgements, and return the task that they make; raise DataError if no document is relevant."""
    from embedkit.data.text.qrels import read_qrels
    from embedkit.evaluation.retrieval import task_of

    qrels = read_qrels(name)
    try:
        return task_of(qrels, keep_self=keep_self)
    except DataError as error:
        raise DataError(error.what, where=name, hint=error.hint) from None


def read_queries(names: Sequence[str], task: Task, reading: TextOptions) -> Queries:
    """Read the queries of a task, and count other queries; raise DataError if no query is in the task."""
    from embedkit.data.inputs import open_text

    kept: dict[str, Record] = {}
    first, others = None, 0
    with open_text(names, reading.format()) as reader:
        for record in reader:
            name = compared(record.id)
            if name in kept:
                raise DataError(f"id {name!r} comes twice", where=reader.name)
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
    encoder = load_cached_for(encoding, index.identity, index.map_file, where=where, no_cache=no_cache)
    index.require_encoder(encoder)
    return encoder


def _maps(encoder: Encoder) -> list[AffineMap]:
    from embedkit.embedding.encoder import Mapped

    return [encoder.transform] if isinstance(encoder, Mapped) else []


def _ruled_name(name: str, rule: RankingRule, rules: int, indexes: int) -> str:
    """Return the name of an index, of a rule, or of both, as needed to tell searches apart."""
    if rules > 1 and indexes == 1:
        return rule.name
    return f"{name} {rule.name}" if rules > 1 or rule.uses_words else name


def _encoder_facts(encoder: Encoder, index: Index, encoding: EncoderOptions) -> Facts:
    return encoder_facts(encoder.identity, settings_for(encoding, index.identity), _maps(encoder))


def _encoded(encoder: Encoder, queries: Sequence[Record]) -> Floats:
    """Return the vectors of queries, encoded window by window.

    Raises DataError for a query whose vector is not finite.
    """
    import numpy as np

    from embedkit.embedding.batching import windows
    from embedkit.embedding.encoder import require_finite

    found = []
    for window in windows(queries, first=64):
        texts = [record.text for record in window]
        found.append(encoder.encode(texts, "query"))
        require_finite(found[-1], texts)
    return np.concatenate(found)


def _answers(
    index: Index, rule: RankingRule, vectors: Floats | None, queries: Sequence[Record], k: int
) -> Answers:
    """Search for queries block by block, by their vectors, their words or both; the words are taken
    literally, and only the ids of documents are read.
    """
    from embedkit.indexing.lexical.operators import literal_query
    from embedkit.indexing.query import Query, hits

    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = queries[start : start + _BLOCK_QUERIES]
        words = [literal_query(each.text, index.lexical.settings) for each in block if rule.uses_words]
        own = vectors[start : start + len(block)] if vectors is not None and rule.uses_vectors else None
        found = hits(index, own, Query(k, fusion=rule.fusion), ["id"], words)
        for record, line in zip(block, found, strict=True):
            scores = {compared(hit.document["id"]): hit.score for hit in reversed(line)}  # best score wins
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
