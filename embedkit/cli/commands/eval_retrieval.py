"""`embedkit eval retrieval`: are the documents that people judged relevant found, and found first?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from embedkit.cli.completion import complete_measures
from embedkit.cli.console import relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.protocol import Facts, interval_facts, version_facts
from embedkit.cli.eval.rankings import RankingOptions
from embedkit.cli.eval.result_tables import mean_facts, print_means, print_results
from embedkit.cli.eval.search_options import SearchOptions, measure_searches
from embedkit.cli.eval.searches import RetrievalRequest, Search, numbered, read_task
from embedkit.cli.eval.systems import Comparison
from embedkit.cli.fusion_options import FusionOptions
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import ClusterOptions, Common
from embedkit.data.names import readable_name

if TYPE_CHECKING:
    from embedkit.evaluation.means import Result
    from embedkit.evaluation.retrieval import RunFigures, Task

RELEVANT = "grade 1 or more; a document without a judgement is not"
SELF = {
    False: "a document with the id of its query is left out, as in BEIR",
    True: "a document with the id of its query counts like others, unlike in BEIR (--keep-self)",
}
TIES = "by document id, the last one first; scores are compared as float32, all of it as in trec_eval"


@dataclass(frozen=True)
class SearchComparison(Comparison):
    """Options for the searches to compare with the first."""

    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="MAP|MODEL|none",
            help="A system to compare with the first. For a --corpus: a map instead of -t, another model, or "
            "none for no map. For an --index: dense, lexical, hybrid, hybrid:WEIGHT or rrf. May be repeated.",
        ),
    ] = None


def retrieval(
    qrels: Annotated[
        str,
        typer.Option(
            "--qrels", metavar="FILE", help="Relevance judgements: TREC, BEIR's tab-separated file or JSONL."
        ),
    ],
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A measure by its name in ir_measures [nDCG@10, R@100, RR@10, AP]. May be repeated.",
            autocompletion=complete_measures,
        ),
    ] = None,
    keep_self: Annotated[
        bool,
        typer.Option(
            "--keep-self",
            help="Count a document that has its query's id; it is left out otherwise, as in BEIR.",
        ),
    ] = False,
    per_query: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the measures of each query, as JSONL.")
    ] = None,
    *,
    comparison: SearchComparison,
    search: SearchOptions,
    words: FusionOptions,
    clustering: ClusterOptions,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """Judge searches by the documents people found relevant: nDCG, recall, MRR, MAP and others, times 100."""
    from embedkit.data.atomic import refuse_existing, write_whole
    from embedkit.evaluation.measures import DEFAULTS, parse_measures
    from embedkit.evaluation.retrieval import evaluate_retrieval

    relay_warnings(common.quiet)
    search.require_one(qrels)
    if per_query is not None:
        refuse_existing(per_query, force=common.force)
    measures = parse_measures(measure or DEFAULTS)
    asked = RetrievalRequest(measures, read_task(qrels, keep_self=keep_self))
    if not search.index:
        clustering.refuse("--run" if search.run else "--corpus", hint="it searches an --index")
    done = measure_searches(
        search, asked, RankingOptions(words, comparison.compare or []), encoding, reading, common,
        no_cache=comparison.no_cache, cluster=clustering.cluster,
    )  # fmt: skip
    searches = done.searches
    values = [each.figures.values for each in searches]
    results = evaluate_retrieval(measures, values, resamples=comparison.resamples, seed=common.seed)
    protocol = (
        _judgements(qrels, asked.task)
        | done.facts
        | _answers(searches, asked.task)
        | {"own id": SELF[keep_self], "ties": TIES}
    )
    protocol |= interval_facts(comparison.resamples, common.seed, over="queries") | _versions(done.models)
    if per_query is not None:
        write_whole(per_query, b"".join(_lines(searches, asked)))
    names = [each.name for each in searches]
    facts = [_facts(results, each, place, asked.task) for place, each in enumerate(searches)]
    print_results(common, lambda: print_means("measure", results, names), facts, protocol)


def _facts(results: Sequence[Result], search: Search, system: int, task: Task) -> dict[str, Any]:
    """Return what one search did as JSON values, figures times 100."""
    facts: dict[str, Any] = {"system": search.name, "queries": len(task.qrels), "left_out": task.left_out}
    facts |= {"missing": search.figures.missing, "unjudged": search.figures.unjudged}
    facts |= {"judged@10": round(100 * search.figures.judged, 6)}
    return facts | mean_facts(results, system)


def _lines(searches: Sequence[Search], asked: RetrievalRequest) -> Iterator[bytes]:
    """Yield a line of JSON for each search and query, figures times 100."""
    names = [measure.name for measure in asked.measures]
    for search in searches:
        for query, values in zip(asked.task.qrels, search.figures.values.T.tolist(), strict=True):
            figures = {name: round(100 * value, 6) for name, value in zip(names, values, strict=True)}
            line = {"system": readable_name(search.name), "query_id": query, **figures}
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _judgements(name: str, task: Task) -> Facts:
    judged = sum(map(len, task.qrels.values()))
    counted = f"{len(task.qrels):,} queries, {judged:,} judgements, {task.relevant:,} of them relevant"
    some = "query" if task.left_out == 1 else "queries"
    left_out = f"{task.left_out:,} {some} left out, to which nothing is relevant"
    return {"qrels": f"{name} ({counted}; {left_out})", "relevant": RELEVANT}


def _answers(searches: Sequence[Search], task: Task) -> Facts:
    return numbered("answers", [_told(each.figures, len(task.qrels)) for each in searches])


def _told(figures: RunFigures, queries: int) -> str:
    """Say which queries a search answered, and how much of its answers people have judged."""
    parts = [f"{queries - figures.missing:,} of {queries:,} queries"]
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


def _versions(models: Sequence[str]) -> Facts:
    judges = ", ".join(f"{name} {version(name)}" for name in ("ir_measures", "pytrec_eval-terrier"))
    return {"versions": f"{version_facts(models)['versions']}, {judges}"}
