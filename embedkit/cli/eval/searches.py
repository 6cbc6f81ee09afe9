"""Answer the queries of a retrieval task by runs, or by models that search a corpus."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.closing import after_semicolon, passed_over
from embedkit.cli.console import Progress
from embedkit.cli.eval.protocol import Facts
from embedkit.cli.eval.systems import System, load_once, system_facts
from embedkit.cli.input_options import TextOptions
from embedkit.data.text.display import counted
from embedkit.data.text.qrels import compared
from embedkit.errors import DataError

if TYPE_CHECKING:
    from embedkit.data.text.record import Record
    from embedkit.data.text.records import TextFormat
    from embedkit.evaluation.measures import Measure
    from embedkit.evaluation.retrieval import Answers, RunFigures, Task


class RetrievalRequest(NamedTuple):
    """The measures to compute, the task with its judgements, and the number of hits per query to look at;
    None: all hits.
    """

    measures: list[Measure]
    task: Task
    depth: int | None = None


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


class Corpus(NamedTuple):
    """The names of files of documents, and their format."""

    names: Sequence[str]
    format: TextFormat


def of_runs(names: Sequence[str], asked: RetrievalRequest) -> SystemRun:
    """Measure runs, which are read from files."""
    from embedkit.data.text.runs import read_run

    searches = [measured(name, names, read_run(name).items(), asked) for name in names]
    for name, search in zip(names, searches, strict=True):
        if not search.figures.judged_hits:
            what = "%s: no document in it is judged for its query; do its ids match the judgements?"
            logging.getLogger("embedkit").warning(what, name)
    return SystemRun(searches, numbered("run", names), [])


def of_models(
    systems: Sequence[System],
    corpus: Corpus,
    queries: Queries,
    asked: RetrievalRequest,
    *,
    quiet: bool,
    no_cache: bool,
) -> SystemRun:
    """Search a corpus exactly with each encoder and map, for the requested number of hits per query."""
    from embedkit.data.inputs import open_text
    from embedkit.evaluation.exact_search import search_corpus

    assert asked.depth is not None
    encoders = load_once(systems, no_cache=no_cache)
    texts = [record.text for record in queries.records]
    with open_text(corpus.names, corpus.format) as reader, Progress(quiet, reader) as progress:
        k = asked.task.searched(asked.depth)
        found = search_corpus(encoders, texts, reader, k, progress.add)
    name = ", ".join(corpus.names)
    absent = absent_words(asked.task, frozenset(found.ids), where=name)
    searches = []
    for system, hits in zip(systems, found.found, strict=True):
        answers = zip([compared(record.id) for record in queries.records], found.by_id(hits), strict=True)
        searches.append(measured(system.name, [system.name], answers, asked))
    over = after_semicolon(passed_over(reader))
    facts = {
        "queries": queries.told,
        "corpus": f"{name} ({counted(len(found.ids), 'document')}{over}{absent})",
        "search": f"exact, by cosine, {counted(asked.depth, 'hit')} per query",
        **system_facts(systems, encoders),
    }
    return SystemRun(searches, facts, [system.settings.model for system in systems])


def read_queries(names: Sequence[str], task: Task, reading: TextOptions) -> Queries:
    """Read the queries of a task, and count other queries; raise DataError if no query is in the task."""
    from embedkit.evaluation.judged_sets import read_judged_queries

    kept, others, reader = read_judged_queries(names, task, reading.format())
    over = after_semicolon(passed_over(reader))
    told = counted(len(kept) + others, "query", "queries")
    told += f", {others:,} of them left out as above or not judged"
    return Queries(kept, f"{', '.join(names)} ({told}{over})")


def numbered(name: str, told: Sequence[str]) -> Facts:
    """Return facts with one name, which is numbered if there are several."""
    return {f"{name} {number}" if len(told) > 1 else name: fact for number, fact in enumerate(told, 1)}


def measured(name: str, names: Sequence[str], answers: Answers, asked: RetrievalRequest) -> Search:
    """Measure the first hits of answers, as many as requested; name the search by the last part of its path
    if that part is unique among `names`.
    """
    from embedkit.evaluation.retrieval import run_figures

    lasts = [Path(each).name for each in names]
    try:
        figures = run_figures(asked.measures, asked.task, answers, asked.depth)
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


def absent_words(task: Task, there: Container[str], *, where: str) -> str:
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
