"""A new index from a stream of vectors: one segment, and the manifest that names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from embedkit import spec
from embedkit.data.atomic import write_whole
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import UsageError
from embedkit.indexing.files import stored
from embedkit.indexing.kind import Layout, Metric, Rehearsal
from embedkit.indexing.manifest import SEGMENTS, Manifest, write_manifest
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.store import MAP, Index
from embedkit.indexing.writing import replacing

_ROUNDED = 0.01  # of a length: what halves and bytes leave of 1


def build_index(
    path: str | Path,
    meta: VectorMeta,
    batches: Iterable[Batch],
    *,
    kind: str | None = None,
    metric: Metric = "cosine",
    coded: bool = False,
    rows: int | None = None,
    rehearsal: Rehearsal | None = None,
) -> Index:
    """Build an index folder of all batches, which appears whole or not at all; one batch is in memory at a
    time.

    `kind` is `flat` when it is left out, and that of the codes where `meta` says that the set holds codes.
    With `coded` (see `takes_codes`) batches hold codes as they are stored, and nothing else is kept. `rows`,
    where it is known how many will come, spares memory; `rehearsal` is for kinds that rehearse. Raises
    UnknownNameError for the kind, DataError when there is nothing to index or an id comes twice.
    """
    path = Path(path)
    if metric not in get_args(Metric):
        raise UsageError(f"unknown metric {metric!r}", hint=f"known: {', '.join(get_args(Metric))}")
    settings = spec.parse("index", kind or default_kind(meta))
    if coded:
        settings = replace(settings, rescore=None)
    unit = metric == "cosine" and not coded
    codes = meta.codes if coded else None
    layout = Layout(meta.dimension, metric, codes, rows, rehearsal=rehearsal)
    with replacing(path) as (folder, number):
        scaled = unit_rows(batches, declared=meta.normalized) if unit else batches
        segment = write_segment(folder / SEGMENTS / f"{number:05d}", settings, scaled, layout)
        if meta.map_file is not None:
            write_whole(folder / MAP, meta.map_file)
        kept_map = stored(folder / MAP) if meta.map_file is not None else None
        manifest = Manifest(settings, metric, meta.dimension, meta.identity, (segment,), kept_map, number)
        write_manifest(folder, manifest)
    return Index.open(path)


def default_kind(meta: VectorMeta) -> str:
    """Return the kind of an index for which none was named: the name of codes is that of their kind."""
    return meta.dtype if meta.holds_codes else "flat"


def takes_codes(meta: VectorMeta, kind: str | None, metric: Metric) -> bool:
    """Say whether an index of this kind is built from the codes of a set as they are, without any floats.

    Otherwise codes are decoded: where the kind names a `rescore`, which then is asymmetric (queries as floats
    against decoded codes); where int8 codes are of vectors that the cosine brings to unit length; and where
    sign codes, which know no lengths, are asked for dot products.
    """
    settings = spec.parse("index", kind or default_kind(meta))
    same = meta.holds_codes and spec.render(settings).partition(":")[0] == meta.dtype
    fits = metric == "cosine" if meta.dtype == "binary" else metric == "dot" or meta.normalized
    return same and fits and (settings.rescore is None or "rescore" not in (kind or ""))


def unit_rows(batches: Iterable[Batch], *, declared: bool = False) -> Iterator[Batch]:
    """Pass batches on with vectors of unit length; where that is what they are declared to be, only those
    that are not are changed, since a model's name can be given to any vectors.
    """
    for table, vectors in batches:
        if not declared:
            yield Batch(table, unit_length(vectors))
            continue
        with np.errstate(over="ignore"):
            others = np.abs(np.linalg.norm(vectors, axis=1) - 1) > _ROUNDED
        if others.any():
            vectors = np.where(others[:, None], unit_length(vectors), vectors)
        yield Batch(table, vectors)
