"""Run `embedkit index build` by a plan: choose a kind for the rows, build the index, measure its recall."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.console import Progress, say
from embedkit.cli.index.plan import WishOptions, plan_facts, planned, process_bytes, show_plan, tell_plan
from embedkit.cli.index.queries import asked_queries, tuned_line
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.cli.quantities import in_bytes, in_seconds
from embedkit.cli.vector_input import open_as_vectors
from embedkit.errors import EmbedkitError, UsageError
from embedkit.evaluation.index.tuning import (
    Unseen,
    corpus_of,
    drawn_queries,
    held_last,
    require_recall,
    settle,
    tuning_of,
)

if TYPE_CHECKING:
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.evaluation.index.truth import Corpus
    from embedkit.indexing.kind import Metric
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings
    from embedkit.indexing.operating_points import OperatingPoint, Tuning
    from embedkit.indexing.planning.plan import Plan
    from embedkit.indexing.store import Index


def dry_run(
    names: list[str],
    kind: str | None,
    wishing: WishOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Count the rows of the inputs, and print the plan for them, without encoding or writing."""
    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader

    with open_input(names, reading.format()) as source:
        if isinstance(source, RecordReader):
            rows, dimension = sum(1 for _ in source), encoding.load().identity.dimension
        else:
            maps = encoding.maps()
            dimension = maps[-1].output_dimension if maps else source.meta.dimension
            rows = sum(len(batch.vectors) for batch in source)
    if not rows:
        raise EmbedkitError("there is nothing to index", where=names[0])
    show_plan(planned(rows, dimension, wishing, kind), common)


def require_queries(queries: Path | None, wishing: WishOptions) -> None:
    """Raise UsageError for a file of queries that is given without a recall, or does not exist."""
    if queries is not None and wishing.recall is None:
        raise UsageError("applies only with --recall", where="--queries")
    if queries is not None and not queries.exists():
        raise UsageError("no such file", where=str(queries))


def build_planned(
    output: Path,
    names: list[str],
    kind: str | None,
    metric: Metric,
    wishing: WishOptions,
    queries: Path | None,
    lexical: LexicalSettings | None,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Build the index that a plan chooses; with a recall, measure which settings reach it."""
    from embedkit.indexing.building import build_index

    wishing.wishes()  # raises before anything is encoded
    with _as_vector_set(output, names, reading, encoding, common) as vectors:
        chosen = planned(vectors.rows, vectors.meta.dimension, wishing, kind)
        tell_plan(chosen, quiet=common.quiet)
        progress = Progress(common.quiet, total=vectors.rows)
        spec, rows, corpus = chosen.chosen.spec, vectors.rows, corpus_of(vectors, metric)
        unseen = None
        if wishing.recall is not None and queries is None and chosen.chosen.kind.rehearses:
            unseen = Unseen.drawn(corpus, rows, chosen.chosen.kind, common.seed)
        batches = progress.track(
            vectors.batches() if unseen is None else held_last(vectors, unseen.held.rows)
        )
        index = build_index(
            output,
            vectors.meta,
            batches,
            kind=spec,
            metric=metric,
            rows=rows,
            rehearsal=None if unseen is None else unseen.rehearsal,
            lexical=lexical,
        )
        found, point = None, None
        if wishing.recall is not None and index.kind != "flat":
            if unseen is not None:
                found = unseen.tuning(index)
            else:
                found = _tuning(index, corpus, queries, reading, encoding, common.seed)
            index, point = settle(index, found, wishing.recall)
    _report(common, index, chosen, progress.seconds, found, point)
    if found is not None:
        require_recall(index, found, wishing.recall)
        _require_latency(index, point, wishing)


@contextmanager
def _as_vector_set(
    output: Path, names: list[str], reading: TextOptions, encoding: EncoderOptions, common: Common
) -> Iterator[VectorSet]:
    """Yield inputs as a vector set: the input itself, or a temporary copy next to the output."""
    from embedkit.data.atomic import scratch_folder
    from embedkit.data.vectors.vector_files import write_to
    from embedkit.data.vectors.vector_set import VectorSet

    with open_as_vectors(names, reading, encoding, common) as vectors:
        if isinstance(vectors.source, VectorSet) and not encoding.transform and encoding.model is None:
            yield vectors.source
            return
        with scratch_folder(output) as folder:
            write_to(folder / "spool.vec", vectors.meta, vectors.batches)
            yield VectorSet.open(folder / "spool.vec")


def _tuning(
    index: Index,
    corpus: Corpus,
    queries: Path | None,
    reading: TextOptions,
    encoding: EncoderOptions,
    seed: int,
) -> Tuning:
    from embedkit.evaluation.index.recall import K, curve
    from embedkit.evaluation.index.truth import find_truth

    if queries is None:
        asked = drawn_queries(corpus, index.rows, seed)
    else:
        asked = asked_queries(index, queries, reading, encoding, seed)
    truth = find_truth(asked.vectors, corpus, K, asked.copies)
    return tuning_of(index, curve(index, truth, seed=seed), asked, truth.k, seed)


def _require_latency(index: Index, point: OperatingPoint | None, wishing: WishOptions) -> None:
    wishes = wishing.wishes()
    if wishing.latency is not None and point is not None and point.milliseconds > 1000 * wishes.latency:
        what = f"a query takes {point.milliseconds:.3g} ms at {point}, more than --latency {wishing.latency}"
        raise EmbedkitError(what, where=str(index.path), hint="the index is kept; lower --recall")


def _report(
    common: Common,
    index: Index,
    chosen: Plan,
    seconds: float,
    found: Tuning | None,
    point: OperatingPoint | None,
) -> None:
    """Close the command: print one or two lines to standard error, or JSON to standard output."""
    if common.json:
        facts = {"output": str(index.path), "rows": index.rows, "dimension": index.dimension}
        facts |= {"kind": index.kind, "seconds": round(seconds, 3), "plan": plan_facts(chosen)}
        print(json.dumps(facts | {"tuning": found and found.to_json()}))
    elif not common.quiet:
        size = f"{index.rows:,} row{'s' * (index.rows != 1)} of {index.dimension} dimensions"
        say(f"{size} in {in_seconds(seconds)} -> {index.path}, {in_bytes(process_bytes())} of memory now")
        if found is not None and point is not None:
            say(tuned_line(index.path, found, point))
