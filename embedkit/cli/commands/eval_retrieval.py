"""`embedkit eval retrieval`: are the documents that people judged relevant found, and found first?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from embedkit.cli.completion import complete_measures
from embedkit.cli.console import relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.judged_searches import SearchComparison, SearchOptions, measure_searches
from embedkit.cli.eval.protocol import interval_facts
from embedkit.cli.eval.result_tables import print_means, print_results
from embedkit.cli.eval.retrieval_table import judge_versions, query_lines, retrieval_protocol, search_facts
from embedkit.cli.eval.searches import RetrievalRequest
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import Common


@dataclass(frozen=True)
class JudgingOptions:
    """Options of the judgements and of the measures."""

    qrels: Annotated[
        str,
        typer.Option(
            "--qrels", metavar="FILE", help="Relevance judgements: TREC, BEIR's tab-separated file or JSONL."
        ),
    ]
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A measure by its name in ir_measures [nDCG@10, R@100, RR@10, AP]. May be repeated.",
            autocompletion=complete_measures,
        ),
    ] = None
    keep_self: Annotated[
        bool,
        typer.Option(
            "--keep-self",
            help="Count a document that has its query's id; it is left out otherwise, as in BEIR.",
        ),
    ] = False
    per_query: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the measures of each query, as JSONL.")
    ] = None


def retrieval(
    *,
    judging: JudgingOptions,
    comparison: SearchComparison,
    search: SearchOptions,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """Judge searches by the documents people found relevant: nDCG, recall, MRR, MAP and others, times 100."""
    from embedkit.data.atomic import refuse_existing, write_whole
    from embedkit.evaluation.judged_sets import read_task
    from embedkit.evaluation.measures import DEFAULTS, parse_measures
    from embedkit.evaluation.retrieval import evaluate_retrieval

    relay_warnings(common.quiet)
    search.require_one(judging.qrels)
    if judging.per_query is not None:
        refuse_existing(judging.per_query, force=common.force)
    measures = parse_measures(judging.measure or DEFAULTS)
    asked = RetrievalRequest(measures, read_task(judging.qrels, keep_self=judging.keep_self))
    search.refuse_cluster()
    done = measure_searches(search, asked, comparison, encoding, reading, common)
    values = [each.figures.values for each in done.searches]
    results = evaluate_retrieval(measures, values, resamples=comparison.resamples, seed=common.seed)
    protocol = retrieval_protocol(judging.qrels, asked, done)
    protocol |= interval_facts(comparison.resamples, common.seed, over="queries")
    protocol |= judge_versions(done.models)
    if judging.per_query is not None:
        write_whole(judging.per_query, b"".join(query_lines(done.searches, asked)))
    names = [each.name for each in done.searches]
    facts = [search_facts(results, each, place, asked.task) for place, each in enumerate(done.searches)]
    print_results(common, lambda: print_means("measure", results, names), facts, protocol)
