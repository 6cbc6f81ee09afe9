"""Format the output of `embedkit eval retrieval`: JSON values, a line per query, and the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import orjson

from embedkit.cli.eval.protocol import Facts, version_facts
from embedkit.cli.eval.result_tables import mean_facts
from embedkit.cli.eval.searches import RetrievalRequest, Search, SystemRun, numbered
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.evaluation.means import Result
    from embedkit.evaluation.retrieval import RunFigures, Task

RELEVANT = "grade 1 or more; a document without a judgement is not"
SELF = {
    False: "a document with the id of its query is left out, as in BEIR",
    True: "a document with the id of its query counts like others, unlike in BEIR (--keep-self)",
}
TIES = "by document id, the last one first; scores are compared as float32, all of it as in trec_eval"


def search_facts(results: Sequence[Result], search: Search, system: int, task: Task) -> dict[str, object]:
    """Return what one search did as JSON values, figures times 100."""
    facts: dict[str, object] = {"system": search.name, "queries": len(task.qrels), "left_out": task.left_out}
    facts |= {"missing": search.figures.missing, "unjudged": search.figures.unjudged}
    facts |= {"judged@10": round(100 * search.figures.judged, 6)}
    return facts | mean_facts(results, system)


def query_lines(searches: Sequence[Search], asked: RetrievalRequest) -> Iterator[bytes]:
    """Yield a line of JSON for each search and query, figures times 100."""
    names = [measure.name for measure in asked.measures]
    for search in searches:
        for query, values in zip(asked.task.qrels, search.figures.values.T.tolist(), strict=True):
            figures = {name: round(100 * value, 6) for name, value in zip(names, values, strict=True)}
            line = {"system": readable_name(search.name), "query_id": query, **figures}
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def retrieval_protocol(qrels: str, asked: RetrievalRequest, done: SystemRun) -> Facts:
    """Return the facts that describe the judgements, the searches and what they answered."""
    own = {"own id": SELF[asked.task.keep_self], "ties": TIES}
    return _judgements(qrels, asked.task) | done.facts | _answers(done.searches, asked.task) | own


def _judgements(name: str, task: Task) -> Facts:
    judged = sum(map(len, task.qrels.values()))
    judgements = f"{counted(judged, 'judgement')}, {task.relevant:,} of them relevant"
    left_out = f"{counted(task.left_out, 'query', 'queries')} left out, to which nothing is relevant"
    queries = counted(len(task.qrels), "query", "queries")
    return {"qrels": f"{name} ({queries}, {judgements}; {left_out})", "relevant": RELEVANT}


def _answers(searches: Sequence[Search], task: Task) -> Facts:
    return numbered("answers", [_told(each.figures, len(task.qrels)) for each in searches])


def _told(figures: RunFigures, queries: int) -> str:
    """Say which queries a search answered, and how much of its answers people have judged."""
    parts = [f"{queries - figures.missing:,} of {counted(queries, 'query', 'queries')}"]
    if figures.missing:
        parts.append(f"the other {figures.missing:,} count as if nothing relevant was found")
    if figures.unjudged:
        parts.append(f"{figures.unjudged:,} others without such judgements left out")
    if figures.itself:
        some = "document" if figures.itself == 1 else "documents"
        parts.append(f"{figures.itself:,} {some} with the query's own id left out")
    if figures.constant:
        parts.append(f"{figures.constant:,} with all scores equal, ordered by id alone")
    return "; ".join([*parts, f"judged@10 {100 * figures.judged:.1f} %"])


def judge_versions(models: Sequence[str]) -> Facts:
    """Return the versions of the packages used, including those that compute the measures."""
    judges = ", ".join(f"{name} {version(name)}" for name in ("ir_measures", "pytrec_eval-terrier"))
    return {"versions": f"{version_facts(models)['versions']}, {judges}"}
