"""A new index from a stream of vectors: one segment, and the manifest that names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from embedkit import spec
from embedkit.data.atomic import whole_folder, write_whole
from embedkit.data.vectors import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import UsageError
from embedkit.indexing.files import stored
from embedkit.indexing.kind import Metric, Space
from embedkit.indexing.manifest import SEGMENTS, Manifest, write_manifest
from embedkit.indexing.segment import write_segment
from embedkit.indexing.store import MAP, Index


def build_index(
    path: str | Path,
    meta: VectorMeta,
    batches: Iterable[Batch],
    *,
    kind: str | None = None,
    metric: Metric = "cosine",
    coded: bool = False,
) -> Index:
    """Build an index folder of all batches, which appears whole or not at all; one batch is in memory at a
    time.

    `kind` is `flat` when it is left out, and that of the codes where `meta` says that the set holds codes.
    With `coded` (see `takes_codes`) batches hold codes as they are stored, and nothing else is kept. Raises
    UnknownNameError for the kind, DataError when there is nothing to index or an id comes twice.
    """
    path = Path(path)
    if metric not in get_args(Metric):
        raise UsageError(f"unknown metric {metric!r}", hint=f"known: {', '.join(get_args(Metric))}")
    settings = spec.parse("index", kind or default_kind(meta))
    if coded:
        settings = replace(settings, rescore=None)
    unit = metric == "cosine" and not meta.normalized and not coded
    space = Space(meta.dimension, metric, meta.codes if coded else None)
    with whole_folder(path) as folder:
        (folder / SEGMENTS).mkdir()
        rows = unit_rows(batches) if unit else batches
        segment = write_segment(folder / SEGMENTS / "00000", settings, rows, space)
        if meta.map_file is not None:
            write_whole(folder / MAP, meta.map_file)
        kept_map = stored(folder / MAP) if meta.map_file is not None else None
        manifest = Manifest(settings, metric, meta.dimension, meta.identity, (segment,), kept_map)
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


def unit_rows(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Pass batches on with vectors of unit length."""
    for table, vectors in batches:
        yield Batch(table, unit_length(vectors))
