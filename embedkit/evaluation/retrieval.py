"""Evaluate retrieval against qrels: rankings, the value of each measure per query, means with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float64
from embedkit.data.text.qrels import Qrels
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.bootstrap import RESAMPLES
from embedkit.evaluation.means import Result, mean_results
from embedkit.evaluation.measures import Measure, parse_measures, values_of

RELEVANT = 1  # lowest grade that counts as relevant
_BLOCK_QUERIES = 256  # queries measured at a time

Answers = Iterable[tuple[str, Mapping[str, float]]]  # per query: its id, and scores by document


class Task(NamedTuple):
    """A retrieval task: the queries that count, and their judgements.

    A document with the id of its query is the query itself, which a search finds first; it is left out, as
    in BEIR, unless `keep_self` is True.
    """

    qrels: Qrels  # queries with a relevant document only
    left_out: int  # number of queries without a relevant document
    keep_self: bool = False

    @property
    def relevant(self) -> int:
        """The number of judgements whose grade counts as relevant."""
        return sum(grade >= RELEVANT for grades in self.qrels.values() for grade in grades.values())

    def searched(self, k: int) -> int:
        """Return how many hits to search for so that `k` remain."""
        return k if self.keep_self else k + 1


class Absent(NamedTuple):
    """The numbers of judgements of documents that a corpus lacks, which no search of it can find."""

    judgements: int
    relevant: int  # judgements among them that count as relevant


class RunFigures(NamedTuple):
    """The measured values of a search per query of a task, in the order of its `qrels`, and counts."""

    values: Float64  # (measures, queries)
    judged: float  # share of the first ten hits that were judged
    missing: int  # queries without a hit, measured with an empty ranking
    unjudged: int  # queries in the answers that the task lacks
    constant: int  # queries whose hits all have the same score, so that only ids order them
    judged_hits: int  # hits that were judged, at any rank
    itself: int  # hits left out because they have the id of their query
    itself_relevant: int  # left-out hits that are judged relevant


def task_of(qrels: Qrels, *, keep_self: bool = False) -> Task:
    """Return the task for some judgements, without the queries that have no relevant document.

    Raises DataError when no query is left.
    """
    kept = {query: grades for query, grades in qrels.items() if max(grades.values()) >= RELEVANT}
    if not kept:
        what = f"no document is relevant to any of {len(qrels):,} queries"
        raise DataError(what, hint="their grades are below 1")
    return Task(kept, len(qrels) - len(kept), keep_self)


def absent_from(corpus: Container[str], task: Task) -> Absent:
    """Count the judgements of documents whose ids a corpus lacks.

    Raises DataError when the corpus has no relevant document, since every value would be 0.
    """
    absent = [
        (document, grade >= RELEVANT)
        for grades in task.qrels.values()
        for document, grade in grades.items()
        if document not in corpus
    ]
    relevant = [document for document, is_relevant in absent if is_relevant]
    if len(relevant) == task.relevant:
        what = f"has none of the documents that are relevant, such as {relevant[0]!r}"
        raise DataError(what, hint="do its ids match the judgements?")
    return Absent(len(absent), len(relevant))


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Return documents by score, best first; where scores tie, by id, the last id first.

    This is the order of trec_eval (form_res_rels.c), which also compares scores as float32.
    """
    with np.errstate(over="ignore"):
        rounded = np.fromiter(scores.values(), dtype=np.float64, count=len(scores)).astype(np.float32)
    return [document for _, document in sorted(zip(rounded.tolist(), scores, strict=True), reverse=True)]


def run_figures(
    measures: Sequence[Measure], task: Task, answers: Answers, depth: int | None = None
) -> RunFigures:
    """Measure the answers to a task's queries, given in any order, once per query; count other queries.

    The first `depth` hits per query count, or all by default. Raises DataError when no query of the task is
    answered.
    """
    computed = [*measures, *parse_measures(["Judged@10"])]
    places = {query: place for place, query in enumerate(task.qrels)}
    values, answered = np.empty((len(computed), len(places))), np.zeros(len(places), dtype=bool)
    counts = Counter[str]()
    for block in _blocks(_known(answers, task, depth, counts)):
        at = [places[query] for query, _ in block]
        judged = [task.qrels[query] for query, _ in block]
        values[:, at] = values_of(computed, judged, [documents for _, documents in block])
        answered[at] = True
    if not answered.any():
        what = f"none of {len(places):,} judged queries is answered, such as {next(iter(places))!r}"
        raise DataError(what, hint="do these ids match the judgements?")
    unanswered = [grades for grades, done in zip(task.qrels.values(), answered, strict=True) if not done]
    values[:, ~answered] = values_of(computed, unanswered, [[]] * len(unanswered))
    judged_10 = float(values[-1, answered].mean())
    counted = (counts[name] for name in ("unjudged", "constant", "judged_hits", "itself", "itself_relevant"))
    return RunFigures(values[:-1], judged_10, len(unanswered), *counted)


def _known(
    answers: Answers, task: Task, depth: int | None, counts: Counter[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the queries of a task that have hits, with their documents in order, and update `counts`."""
    for query, scores in answers:
        if query not in task.qrels:
            counts["unjudged"] += 1
            continue
        grades = task.qrels[query]
        if query in scores and not task.keep_self:
            counts["itself"] += 1
            counts["itself_relevant"] += grades.get(query, 0) >= RELEVANT
            scores = {document: score for document, score in scores.items() if document != query}
        if scores:
            counts["constant"] += len(scores) > 1 and len(set(scores.values())) == 1
            counts["judged_hits"] += sum(document in grades for document in scores)
            yield query, ranked(scores)[:depth]


def _blocks(rankings: Iterator[tuple[str, list[str]]]) -> Iterator[list[tuple[str, list[str]]]]:
    while block := list(islice(rankings, _BLOCK_QUERIES)):
        yield block


def evaluate_retrieval(
    measures: Sequence[Measure], systems: Sequence[Float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Result]:
    """Return the mean of each measure per system, with its interval, from values `(measures, queries)`.

    The same queries are drawn for all systems, so that differences are paired. Raises MismatchError when
    the values of systems differ in shape or do not match the measures.
    """
    shapes = {values.shape for values in systems}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(measures):
        raise MismatchError(f"there are {len(measures)} measures, and values of shapes {sorted(shapes)}")
    names = [measure.name for measure in measures]
    return mean_results(names, np.array(systems), resamples=resamples, seed=seed)
