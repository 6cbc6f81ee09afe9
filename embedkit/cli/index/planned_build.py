"""Run `embedkit index build` by a plan: choose a kind for the rows, build the index, measure its recall."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.closing import after_semicolon, close, passed_over, say_passed_over, skipped_counts
from embedkit.cli.console import Progress
from embedkit.cli.index.build_options import NewIndex, PlanningOptions
from embedkit.cli.index.plan_table import plan_facts, planned, process_bytes, show_plan, tell_plan
from embedkit.cli.index.query_options import asked_queries, tuned_line
from embedkit.cli.index.wish_options import WishOptions
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.quantities import in_bytes, in_seconds
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.text.display import counted
from embedkit.errors import EmbedkitError
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
    from embedkit.data.folders.file_states import FileStates
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.evaluation.index.truth import Corpus
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings
    from embedkit.indexing.operating_points import OperatingPoint, Tuning
    from embedkit.indexing.planning.plan import Plan
    from embedkit.indexing.store import Index


class Spooled(NamedTuple):
    """Inputs as a vector set, the reader of the inputs, and the states of the files that they come from."""

    vectors: VectorSet
    source: object
    states: FileStates | None = None


class Built(NamedTuple):
    """An index that a plan has chosen, the measured recall of its settings, and those it is searched with."""

    made: Index
    plan: Plan
    found: Tuning | None
    point: OperatingPoint | None


def dry_run(target: NewIndex, wishing: WishOptions, inputs: Inputs, common: Common) -> None:
    """Count the rows of the inputs, and print the plan for them, without encoding or writing."""
    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader

    names, encoding = inputs.names, inputs.encoding
    with open_input(names, inputs.format()) as source:
        if isinstance(source, RecordReader):
            rows, dimension = sum(1 for _ in source), encoding.load().identity.dimension
            say_passed_over(source, common)
        else:
            maps = encoding.maps()
            dimension = maps[-1].output_dimension if maps else source.meta.dimension
            rows = sum(len(batch.vectors) for batch in source)
    if not rows:
        raise EmbedkitError("there is nothing to index", where=names[0])
    show_plan(planned(rows, dimension, wishing, target.kind), common)


def build_planned(
    target: NewIndex,
    planning: PlanningOptions,
    lexical: LexicalSettings | None,
    inputs: Inputs,
    common: Common,
) -> None:
    """Build the index that a plan chooses; with a recall, measure which settings reach it."""
    wishing = planning.wishing
    wishing.wishes()  # raises before anything is encoded
    with _as_vector_set(target.output, inputs, common) as spooled:
        vectors = spooled.vectors
        plan = planned(vectors.rows, vectors.meta.dimension, wishing, target.kind)
        tell_plan(plan, quiet=common.quiet)
        progress = Progress(common.quiet, total=vectors.rows)
        corpus, unseen = corpus_of(vectors, target.metric), None
        if wishing.recall is not None and planning.queries is None and plan.chosen.kind.rehearses:
            unseen = Unseen.drawn(corpus, vectors.rows, plan.chosen.kind, common.seed)
        index = _built(target, plan, spooled, unseen, lexical, progress)
        found, point = None, None
        if wishing.recall is not None and index.kind != "flat":
            if unseen is not None:
                found = unseen.tuning(index)
            else:
                found = _tuning(index, corpus, planning.queries, inputs, common.seed)
            index, point = settle(index, found, wishing.recall)
    _close(common, Built(index, plan, found, point), progress.seconds, spooled.source)
    if found is not None:
        require_recall(index, found, wishing.recall)
        _require_latency(index, point, wishing)


def _built(
    target: NewIndex,
    plan: Plan,
    spooled: Spooled,
    unseen: Unseen | None,
    lexical: LexicalSettings | None,
    progress: Progress,
) -> Index:
    """Build the index of the chosen kind; rows that are held out to measure its recall come last."""
    from embedkit.indexing.building import build_index

    vectors = spooled.vectors
    batches = vectors.batches() if unseen is None else held_last(vectors, unseen.held.rows)
    return build_index(
        target.output,
        vectors.meta,
        progress.track(batches),
        kind=plan.chosen.spec,
        metric=target.metric,
        rows=vectors.rows,
        rehearsal=None if unseen is None else unseen.rehearsal,
        lexical=lexical,
        states=spooled.states,
    )


@contextmanager
def _as_vector_set(output: Path, inputs: Inputs, common: Common) -> Iterator[Spooled]:
    """Yield inputs as a vector set: the input itself, or a temporary copy next to the output."""
    from embedkit.data.atomic import scratch_folder
    from embedkit.data.vectors.vector_files import write_to
    from embedkit.data.vectors.vector_set import VectorSet

    encoding = inputs.encoding
    with open_as_vectors(inputs, common) as vectors:
        if isinstance(vectors.source, VectorSet) and not encoding.transform and encoding.model is None:
            yield Spooled(vectors.source, vectors.source)
            return
        with scratch_folder(output) as folder:
            write_to(folder / "spool.vec", vectors.meta, vectors.batches)
            yield Spooled(VectorSet.open(folder / "spool.vec"), vectors.source, vectors.states)


def _tuning(index: Index, corpus: Corpus, queries: Path | None, inputs: Inputs, seed: int) -> Tuning:
    from embedkit.evaluation.index.recall import K, curve
    from embedkit.evaluation.index.truth import find_truth

    if queries is None:
        asked = drawn_queries(corpus, index.rows, seed)
    else:
        asked = asked_queries(index, queries, inputs.reading, inputs.encoding, seed)
    truth = find_truth(asked.vectors, corpus, K, asked.copies)
    return tuning_of(index, curve(index, truth, seed=seed), asked, truth.k, seed)


def _require_latency(index: Index, point: OperatingPoint | None, wishing: WishOptions) -> None:
    wishes = wishing.wishes()
    if wishing.latency is not None and point is not None and point.milliseconds > 1000 * wishes.latency:
        what = f"a query takes {point.milliseconds:.3g} ms at {point}, more than --latency {wishing.latency}"
        raise EmbedkitError(what, where=str(index.path), hint="the index is kept; lower --recall")


def _close(common: Common, built: Built, seconds: float, source: object) -> None:
    index, plan, found, point = built
    facts = {"output": str(index.path), "rows": index.rows, "dimension": index.dimension}
    facts |= {"kind": index.kind, "seconds": round(seconds, 3), "plan": plan_facts(plan)}
    facts |= skipped_counts(source)
    size = f"{counted(index.rows, 'row')} of {index.dimension} dimensions"
    memory = f"{in_bytes(process_bytes())} of memory now"
    over = after_semicolon(passed_over(source))
    lines = [f"{size} in {in_seconds(seconds)} -> {index.path}, {memory}{over}"]
    if found is not None and point is not None:
        lines.append(tuned_line(index.path, found, point))
    close(common, facts | {"tuning": found and found.to_json()}, *lines)
