"""Retrieval sets: judged queries and the documents searched for them, in BEIR's folders or in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from embedkit.data.inputs import open_text
from embedkit.data.text.display import counted
from embedkit.data.text.qrels import compared, read_qrels
from embedkit.data.text.record import Record
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.embedding.encoder import Encoder
from embedkit.errors import DataError, UsageError
from embedkit.evaluation.exact_search import search_corpus
from embedkit.evaluation.measures import parse_measures
from embedkit.evaluation.retrieval import Task, absent_from, run_figures, task_of


class JudgedQueries(NamedTuple):
    """The queries of an input that belong to a task, the number of the others, and the reader of all."""

    records: list[Record]
    others: int
    reader: RecordReader


class JudgedFiles(NamedTuple):
    """The files of a retrieval set."""

    queries: str
    qrels: str
    corpus: str


class JudgedSet(NamedTuple):
    """A retrieval set: its queries and judgements in memory, its documents in a file."""

    files: JudgedFiles
    task: Task
    queries: list[Record]

    def documents(self) -> Iterator[Record]:
        """Yield the documents, which are read anew each time."""
        with open_text([self.files.corpus], TextFormat()) as reader:
            yield from reader

    def require_documents(self, ids: Iterator[str]) -> None:
        """Raise DataError if none of the relevant documents has one of the corpus's ids."""
        try:
            absent_from(frozenset(map(compared, ids)), self.task)
        except DataError as error:
            raise DataError(error.what, where=self.files.corpus, hint=error.hint) from None

    def value(self, encoder: Encoder, measure: str = "nDCG@10") -> float:
        """Return the mean of a measure over queries, for an exact search by cosine.

        Memory holds the queries and their hits, and a window of documents. Raises DataError for a vector that
        is not finite.
        """
        (wanted,) = parse_measures([measure])
        depth = wanted.cutoff or 1000
        texts = [query.text for query in self.queries]
        found = search_corpus([encoder], texts, self.documents(), self.task.searched(depth))
        names = [compared(query.id) for query in self.queries]
        answers = zip(names, found.by_id(found.found[0]), strict=True)
        return float(run_figures([wanted], self.task, answers, depth).values.mean())


def judged_files(name: str, qrels: str | None = None, corpus: str | None = None) -> JudgedFiles | None:
    """Return the files of a retrieval set: a folder with `queries`, `corpus` and `qrels` (or `qrels/dev`) as
    BEIR has them, or a file of queries with `qrels` and `corpus`, which also replace those of a folder.

    None for a file alone, which is no retrieval set. Raises DataError for a folder without such files, and
    UsageError if one of `qrels` and `corpus` is missing.
    """
    folder = Path(name)
    if folder.is_dir():
        found = corpus or _only(folder, "corpus")
        judged = qrels or _only(folder / "qrels" if (folder / "qrels").is_dir() else folder, "dev", "qrels")
        return JudgedFiles(_only(folder, "queries"), judged, found)
    if qrels is None and corpus is None:
        return None
    if qrels is None or corpus is None:
        missing = "eval_qrels" if qrels is None else "eval_corpus"
        what = "is missing for a retrieval set of files"
        raise UsageError(what, where=f"`{missing}`", hint="name the file, or a folder of all as `eval`")
    return JudgedFiles(name, qrels, corpus)


def read_judged_set(files: JudgedFiles) -> JudgedSet:
    """Read the queries and judgements of a retrieval set; raises DataError if no query is judged."""
    task = read_task(files.qrels)
    return JudgedSet(files, task, read_judged_queries([files.queries], task).records)


def read_task(name: str, *, keep_self: bool = False) -> Task:
    """Read judgements, and return the task that they make; raise DataError if no document is relevant."""
    qrels = read_qrels(name)
    try:
        return task_of(qrels, keep_self=keep_self)
    except DataError as error:
        raise DataError(error.what, where=name, hint=error.hint) from None


def read_judged_queries(names: Sequence[str], task: Task, format: TextFormat | None = None) -> JudgedQueries:
    """Read the queries of a task, and count other queries; raise DataError if no query is in the task."""
    kept: dict[str, Record] = {}
    first, others = None, 0
    with open_text(names, format or TextFormat()) as reader:
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
        judged = counted(len(task.qrels), "judged query", "judged queries")
        judged += f", such as {next(iter(task.qrels))!r}"
        what = f"has none of {judged}; its first is {first!r}" if first else "there is no query in the input"
        raise DataError(what, where=reader.name, hint="`id_field` names the ids" if first else None)
    return JudgedQueries(list(kept.values()), others, reader)


def _only(folder: Path, *stems: str) -> str:
    """Return the one file of a folder whose name begins with the first of some stems that any begins with."""
    for stem in stems:
        found = sorted(path for path in folder.glob(f"{stem}.*") if path.is_file())
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(f"has several files of {stem}: {names}", where=str(folder))
        if found:
            return str(found[0])
    hint = "a retrieval set has queries, corpus and qrels; name others with `eval_qrels` and `eval_corpus`"
    raise DataError(f"has no file {' or '.join(f'{stem}.*' for stem in stems)}", where=str(folder), hint=hint)
