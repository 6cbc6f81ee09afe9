"""Define the options that name the searches of `embedkit eval retrieval`, and measure these searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.index_searches import of_indexes
from embedkit.cli.eval.rankings import RankingOptions, names_a_rule
from embedkit.cli.eval.searches import (
    Corpus,
    Queries,
    RetrievalRequest,
    SystemRun,
    of_models,
    of_runs,
    read_queries,
)
from embedkit.cli.eval.systems import Comparison, named_systems
from embedkit.cli.fusion_options import FusionOptions
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import ClusterOptions, Common, named
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.measures import Measure

DEPTH = 1000  # hits per query, as in TREC


@dataclass(frozen=True)
class SearchComparison(Comparison):
    """Options for the searches to compare with the first, the intervals, and the cache."""

    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="MAP|MODEL|none",
            help="A system to compare with the first. For a --corpus: a map instead of -t, another model, or "
            "none for no map. For an --index: dense, lexical, hybrid, hybrid:WEIGHT or rrf. May be repeated.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options that name the searches to evaluate."""

    panel: ClassVar = "Searches to judge: runs, indexes, or models and a corpus"

    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Hits to score: a TREC run, or the JSONL of search -i. May be repeated."
        ),
    ] = None
    index: Annotated[
        list[str] | None,
        typer.Option(metavar="INDEX", help="An index to search for --queries. May be repeated."),
    ] = None
    corpus: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Documents to search exactly with -m and -t. May be repeated."),
    ] = None
    queries: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="The queries, with the ids that the qrels use.")
    ] = None
    k: Annotated[int | None, typer.Option("-k", help=f"Hits a query [{DEPTH}].", min=1)] = None

    words: FusionOptions
    clustering: ClusterOptions

    def require_one(self, qrels: str) -> None:
        """Raise UsageError unless exactly one kind of search is named, with its own options only."""
        named = [name for name in ("run", "index", "corpus") if getattr(self, name)]
        if len(named) != 1:
            what = f"--{named[0]} and --{named[1]} were both given" if named else "there is nothing to judge"
            raise UsageError(what, hint="name one of --run, --index, and --corpus with -m")
        if self.run and (self.queries or self.k):
            raise UsageError(
                "a run has its queries and hits in it", where="--queries" if self.queries else "-k"
            )
        if not self.run and not self.queries:
            raise UsageError(
                f"--{named[0]} is searched for queries", where="--queries", hint="name their FILE"
            )
        files = [qrels, *(self.run or []), *(self.corpus or []), *(self.queries or [])]
        if files.count("-") > 1:
            raise UsageError("standard input can be read only once", where="-")

    def refuse_others(self, ranked: RankingOptions) -> None:
        """Raise UsageError for options of words without an index, and for a `--compare` that does not name
        a system of the kind that is searched.
        """
        if self.index:
            return
        words = ranked.words
        if given := named({"--hybrid": words.hybrid, "--fusion": words.fusion, "--lexical": words.lexical}):
            what = "applies to a search of an --index"
            raise UsageError(what, where=given[0], hint="build one of the documents with embedkit index")
        if ranked.compare and self.run:
            raise UsageError("does not apply to a --run", where="--compare", hint="--run may be repeated")
        if rules := [name for name in ranked.compare if names_a_rule(name)]:
            what = f"{rules[0]!r} is a way to search an --index"
            raise UsageError(what, where="--compare", hint="name a map, a model or none for a --corpus")

    def refuse_cluster(self) -> None:
        """Raise UsageError for a cluster, unless indexes are searched."""
        if not self.index:
            self.clustering.refuse("--run" if self.run else "--corpus", hint="it searches an --index")

    def depth(self, measures: Sequence[Measure]) -> int:
        """Return the number of hits per query; raise UsageError if a measure needs more."""
        deepest = max(measures, key=lambda measure: measure.cutoff)
        if self.k and self.k < deepest.cutoff:
            looked_at = counted(deepest.cutoff, "hit")
            what = f"{deepest.name} looks at {looked_at} per query, {self.k:,} are asked for"
            raise UsageError(what, where="-k", hint=f"-k {deepest.cutoff}, or another --measure")
        return self.k or max(DEPTH, deepest.cutoff)


def measure_searches(
    options: SearchOptions,
    asked: RetrievalRequest,
    comparison: SearchComparison,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> SystemRun:
    """Measure the named searches; indexes are searched on a cluster if one is named.

    Raises UsageError for an option that does not apply to them.
    """
    no_cache, ranked = comparison.no_cache, RankingOptions(options.words, comparison.compare or [])
    options.refuse_others(ranked)
    if options.run:
        if (encoding, reading, no_cache) != (EncoderOptions(), TextOptions(), False):
            raise UsageError(
                "a run is judged as it is; options of texts and models are for others", where="--run"
            )
        return of_runs(options.run, asked)
    asked = asked._replace(depth=options.depth(asked.measures))
    queries = read_queries(options.queries or [], asked.task, reading)
    if options.index:
        return _of_named_indexes(options, queries, asked, ranked, encoding, no_cache)
    systems = named_systems(encoding, ranked.compare)
    corpus = Corpus(options.corpus or [], reading.format())
    return of_models(systems, corpus, queries, asked, quiet=common.quiet, no_cache=no_cache)


def _of_named_indexes(
    options: SearchOptions,
    queries: Queries,
    asked: RetrievalRequest,
    ranked: RankingOptions,
    encoding: EncoderOptions,
    no_cache: bool,
) -> SystemRun:
    from embedkit.cli.cluster import spread_indexes
    from embedkit.indexing.store import Index

    names = options.index or []
    with spread_indexes(options.clustering.cluster, [Index.open(name) for name in names]) as opened:
        indexes = list(zip(names, opened, strict=True))
        return of_indexes(indexes, queries, asked, ranked, encoding, no_cache=no_cache)
