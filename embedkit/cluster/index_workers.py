"""Many workers build one index, a segment each from a run of shards; it appears when all are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from embedkit import spec
from embedkit.cluster.search_workers import cut_evenly
from embedkit.cluster.session import Cluster, not_shared
from embedkit.cluster.sources import MappedShards, of_vectors
from embedkit.data.atomic import discard, flush_folder
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.indexing.building import DEFAULT_LEXICAL, default_kind, unit_batches
from embedkit.indexing.kind import Floats, IndexKind, Layout, Metric
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.manifest import SEGMENTS, Manifest, write_manifest
from embedkit.indexing.repeated_ids import RUNS, hashes_of, refuse_repeated, repeated_in_run, stable_hash
from embedkit.indexing.segment import Segment
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.store import MAP, Index
from embedkit.indexing.stored_files import stored
from embedkit.indexing.writing import replacing

SEGMENT_ROWS = 4_000_000  # rows per segment, an approximate limit
TAUGHT, HASHES = "taught.faiss", "ids"  # both exist only while the index is built


class Task(NamedTuple):
    """A segment to build: its number in the index, and the shards that it covers."""

    number: int
    shards: range


@dataclass(frozen=True)
class BuildPlan:
    """The settings with which every worker builds a segment in `folder`, which becomes the index."""

    folder: Path
    shards: MappedShards
    settings: IndexKind
    layout: Layout
    unit: bool  # whether rows are scaled to unit length
    declared: bool  # whether the vector set declares unit length
    coded: bool
    lexical: LexicalSettings | None

    def batches(self, places: Iterable[int]) -> Iterator[Batch]:
        """Yield the rows of some shards in the form in which they are indexed."""
        if self.coded:
            found = (batch for place in places for batch in self.shards.coded(place))
        else:
            found = (batch for place in places for batch in self.shards.batches(place))
        return self.scaled(found)

    def scaled(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches with rows scaled as the index compares them."""
        return unit_batches(batches, declared=self.declared) if self.unit else iter(batches)


def build_on(
    cluster: Cluster,
    path: str | Path,
    shards: MappedShards,
    *,
    kind: str | None = None,
    metric: Metric = "cosine",
    coded: bool = False,
    lexical: LexicalSettings | None = DEFAULT_LEXICAL,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> Index:
    """Build an index of a vector set as `build_index` does, with about one segment per worker: more for a
    large set, and at most one per shard.

    Parameters that a kind learns from a sample (centroids, ranges, product codes) are learnt once, here, from
    rows drawn from all shards. `on_batch` is called with the rows of each segment. Raises the errors of
    `build_index`, and ClusterError.
    """
    path, meta = Path(path), shards.known()
    settings = spec.parse("index", kind or default_kind(meta))
    settings = replace(settings, rescore=None) if coded else settings
    layout = Layout(meta.dimension, metric, meta.codes if coded else None)
    unit = metric == "cosine" and not coded
    source = shards.source
    shards = replace(shards, source=replace(source, known_schema=source.schema))  # workers read single shards
    with replacing(path) as (folder, first):
        plan = BuildPlan(folder, shards, settings, layout, unit, meta.normalized, coded, lexical)
        plan = replace(plan, layout=_pretrained(plan))
        (folder / HASHES).mkdir()
        share = of_vectors(cluster, shards).share
        tasks = _tasks(source, first, cluster.workers(share))
        segments = []
        for segment in cluster.map(_build, tasks, plan, share=share):
            segments.append(segment)
            on_batch(segment.rows)
        _refuse_repeated(cluster, folder / HASHES, segments)
        _commit(plan, meta, segments)
    return Index.open(path)


def _tasks(source: VectorSet, first: int, workers: int) -> list[Task]:
    count = max(workers, -(-source.rows // SEGMENT_ROWS))
    return [Task(first + n, run) for n, run in enumerate(cut_evenly(len(source.shards), count))]


def _pretrained(plan: BuildPlan) -> Layout:
    """Return the layout, with the file that the kind learnt from a sample if it learns from one."""
    if not plan.settings.sample_rows or plan.coded:
        return plan.layout
    file = plan.folder / TAUGHT
    plan.settings.learn(sample(plan, plan.settings.sample_rows, plan.settings.seed), file)
    return plan.layout._replace(pretrained=file)


def sample(plan: BuildPlan, size: int, seed: int) -> Floats:
    """Return rows drawn from all shards in row order, `(size, dimension)`, or all rows if there are fewer.

    Of a float32 shard, only the pages that contain those rows are read.
    """
    source = plan.shards.source
    size, numbers = min(size, source.rows), np.random.default_rng(seed)
    drawn = np.sort(numbers.choice(source.rows, size, replace=False, shuffle=False))
    ends = np.cumsum([shard.rows for shard in source.shards])
    found, places = [], np.searchsorted(ends, drawn, side="right")
    for place in np.unique(places).tolist():
        rows = drawn[places == place] - (ends[place] - source.shards[place].rows)
        found.append(plan.shards.mapped(source.vectors(place)[rows]))
    return next(plan.scaled([Batch(None, np.concatenate(found))])).vectors


def _build(task: Task, plan: BuildPlan) -> Segment:
    """Build a segment under a temporary name, then rename it into place."""
    if not (plan.folder / SEGMENTS).is_dir():
        raise not_shared(plan.folder)
    place = plan.folder / SEGMENTS / f"{task.number:05d}"
    beside = place.with_name(f".{place.name}.{uuid4().hex}")
    rows = sum(shard.rows for shard in islice(plan.shards.source.shards, task.shards.start, task.shards.stop))
    batches = plan.batches(task.shards)
    segment = write_segment(beside, plan.settings, batches, plan.layout._replace(rows=rows), plan.lexical)
    hashes = hashes_of(_ids([segment]), stable_hash)
    np.save(plan.folder / HASHES / f"{task.number:05d}.npy", np.sort(hashes))
    discard(place)  # left by a worker that was lost at that moment
    os.rename(beside, place)
    return replace(segment, folder=place)


def _refuse_repeated(cluster: Cluster, hashes: Path, segments: list[Segment]) -> None:
    """Raise DataError naming an id that two segments contain; `hashes` is the folder of all ids' hashes."""
    for suspects in cluster.map(repeated_in_run, range(RUNS), hashes):
        if suspects:
            refuse_repeated(_ids(segments), suspects, stable_hash)


def _ids(segments: Iterable[Segment]) -> Iterator[str]:
    for segment in segments:
        for table in segment.documents():
            yield from table.column("id").to_pylist()


def _commit(plan: BuildPlan, meta: VectorMeta, segments: list[Segment]) -> None:
    """Delete the temporary files of the build, and write the manifest that names the segments."""
    folder = plan.folder
    discard(folder / HASHES)
    discard(folder / TAUGHT)
    for left in (folder / SEGMENTS).glob(".*"):  # left by workers that were lost
        discard(left)
    flush_folder(folder / SEGMENTS)
    if meta.map is not None:
        meta.map.save(folder / MAP)
    kept_map = stored(folder / MAP) if meta.map is not None else None
    number = int(segments[-1].folder.name)
    manifest = Manifest(
        plan.settings, plan.layout.metric, meta.dimension, meta.identity, tuple(segments), kept_map, number
    )
    lexical = plan.lexical
    write_manifest(folder, replace(manifest, lexical=lexical, without_lexical=lexical is None))
