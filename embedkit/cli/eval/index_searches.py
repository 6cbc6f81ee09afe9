"""Answer the queries of a retrieval task by indexes, each of which may rank documents in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.protocol import Facts, encoder_facts
from embedkit.cli.eval.rankings import RankingOptions, RankingRule
from embedkit.cli.eval.searches import (
    Queries,
    RetrievalRequest,
    Search,
    SystemRun,
    absent_words,
    measured,
    numbered,
)
from embedkit.cli.eval.systems import load_cached_for, settings_for
from embedkit.data.text.display import counted
from embedkit.data.text.qrels import compared
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.text.record import Record
    from embedkit.embedding.encoder import Encoder
    from embedkit.evaluation.retrieval import Answers, Task
    from embedkit.indexing.kind import Floats
    from embedkit.indexing.store import Index

_BLOCK_QUERIES = 256  # queries whose hits are held at a time


def of_indexes(
    indexes: Sequence[tuple[str, Index]],
    queries: Queries,
    asked: RetrievalRequest,
    ranked: RankingOptions,
    encoding: EncoderOptions,
    *,
    no_cache: bool,
) -> SystemRun:
    """Search named indexes by each rule of ranking, for the requested number of hits per query; queries are
    encoded once per index, by the encoder of its vectors.
    """
    assert asked.depth is not None
    names = [name for name, _ in indexes]
    rules = [ranked.rules(index) for _, index in indexes]
    if encoding != EncoderOptions() and not any(rule.uses_vectors for own in rules for rule in own):
        what = "apply to vectors, and words alone are searched"
        raise UsageError(what, where="-m and -t", hint="drop them, or search with --hybrid")
    encoders = [
        _encoder_for(index, encoding, no_cache=no_cache) if any(rule.uses_vectors for rule in own) else None
        for (_, index), own in zip(indexes, rules, strict=True)
    ]
    searches: list[Search] = []
    described: list[str] = []
    facts: Facts = {"queries": queries.told}
    for place, ((name, index), encoder, own) in enumerate(zip(indexes, encoders, rules, strict=True), 1):
        absent = lacking(index, asked.task, where=name)
        vectors = None if encoder is None else encoded_queries(encoder, queries.records)
        for rule in own:
            answers = _answers(index, rule, vectors, queries.records, asked.task.searched(asked.depth))
            search = measured(name, names, answers, asked)
            searches.append(search._replace(name=_ruled_name(search.name, rule, len(own), len(names))))
            described.append(rule.described(index))
        about = f"{name} ({index.kind}, {index.metric}, {counted(index.rows, 'document')}{absent})"
        about += f", {counted(asked.depth, 'hit')} per query"
        found = {"index": about} | ({} if encoder is None else _encoder_facts(encoder, index, encoding))
        number = f" {place}" if len(names) > 1 else ""
        facts |= {f"{key}{number}": fact for key, fact in found.items()}
    if any(rule.uses_words for own in rules for rule in own):
        facts |= numbered("ranking", described)
    return SystemRun(searches, facts, [each.identity.model for each in encoders if each is not None])


def _encoder_for(index: Index, encoding: EncoderOptions, *, no_cache: bool) -> Encoder:
    """Return the encoder of an index's vectors, with the cache unless `no_cache`."""
    where = str(index.path)
    encoder = load_cached_for(encoding, index.identity, index.map, where=where, no_cache=no_cache)
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


def encoded_queries(encoder: Encoder, queries: Sequence[Record]) -> Floats:
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


def lacking(index: Index, task: Task, *, where: str) -> str:
    """Return words for the judgements of documents that an index lacks; empty if it has all.

    Raises DataError if it has no relevant document.
    """
    return absent_words(task, _judged_ids(index, task), where=where)


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
