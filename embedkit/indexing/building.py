"""Building a new index from a stream of vectors: one segment, and the manifest that names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from embedkit import spec
from embedkit.data.folders.file_states import FileStates
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import UsageError
from embedkit.indexing.followed_files import store_states
from embedkit.indexing.kind import Layout, Metric, Rehearsal
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.manifest import SEGMENTS, Manifest, write_manifest
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.store import MAP, Index
from embedkit.indexing.stored_files import stored
from embedkit.indexing.writing import replacing

DEFAULT_LEXICAL = LexicalSettings()
_ROUNDED = 0.01  # difference from length 1 that rounding to float16 or int8 may cause


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
    lexical: LexicalSettings | None = DEFAULT_LEXICAL,
    states: FileStates | None = None,
) -> Index:
    """Build an index folder of all batches; it appears complete or not at all, and memory holds one batch at
    a time.

    `kind` defaults to `flat`, or to the kind of the codes if `meta` describes a set of codes. With `coded`
    (see `takes_codes`) batches hold stored codes, and nothing else is kept. `rows`, the number of rows to
    come if known, saves memory; `rehearsal` is for kinds that rehearse. With `lexical`, documents that have
    text can also be searched by words. `states`, complete once the batches have been read, are of the files
    that `sync` follows. Raises UnknownNameError for the kind, DataError when there is nothing
    to index or an id occurs twice.
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
        scaled = unit_batches(batches, declared=meta.normalized) if unit else batches
        segment = write_segment(folder / SEGMENTS / f"{number:05d}", settings, scaled, layout, lexical)
        if meta.map is not None:
            meta.map.save(folder / MAP)
        kept_map = stored(folder / MAP) if meta.map is not None else None
        manifest = Manifest(settings, metric, meta.dimension, meta.identity, (segment,), kept_map, number)
        files = store_states(folder, number, states) if states is not None else None
        manifest = replace(manifest, lexical=lexical, without_lexical=lexical is None, files=files)
        write_manifest(folder, manifest)
    return Index.open(path)


def default_kind(meta: VectorMeta) -> str:
    """Return the default kind of an index: codes have the name of their kind, other vectors use `flat`."""
    return meta.dtype if meta.holds_codes else "flat"


def takes_codes(meta: VectorMeta, kind: str | None, metric: Metric) -> bool:
    """Return whether an index of this kind is built directly from the codes of a set, without floats.

    Otherwise codes are decoded: if the kind names a `rescore` type, which is then asymmetric (queries as
    floats against decoded codes); if the metric is cosine and int8 codes are of vectors without unit length;
    and if the metric is dot and codes are signs, which carry no lengths.
    """
    settings = spec.parse("index", kind or default_kind(meta))
    same = meta.holds_codes and spec.render(settings).partition(":")[0] == meta.dtype
    fits = metric == "cosine" if meta.dtype == "binary" else metric == "dot" or meta.normalized
    return same and fits and (settings.rescore is None or "rescore" not in (kind or ""))


def unit_batches(batches: Iterable[Batch], *, declared: bool = False) -> Iterator[Batch]:
    """Yield batches with vectors of unit length.

    If the vectors are declared to have unit length, only those that do not are scaled, since the name of a
    model can be given to any vectors.
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
