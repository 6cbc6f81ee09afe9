"""The index folder: segments, a manifest that names them, and everything else that a search needs.

docs.idx/
  manifest.json        format and version, kind, metric, the encoder's identity, segments with checksums
  map.safetensors      the map behind the encoder, when there is one
  segments/00000/      the kind's files (vectors.faiss ...), documents/part-00000.arrow ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.atomic import whole_folder, write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.data.vectors import Batch, VectorMeta
from embedkit.embedding.encoder import Encoder, unit_length
from embedkit.errors import FormatError, MismatchError, UsageError
from embedkit.indexing.kind import Floats, Kind, Metric, Rows, Space
from embedkit.indexing.segment import Segment, write_segment

FORMAT, VERSION = "embedkit-index", 2
READS = (1, 2)  # version 1 knew one file a segment
MANIFEST, SEGMENTS, MAP = "manifest.json", "segments", "map.safetensors"


class Hit(NamedTuple):
    """One answer: its place (1 is best), similarity (larger is better), and the document `{"id": ...,
    "text": ...}`.
    """

    rank: int
    score: float
    document: dict[str, Any]


@dataclass(frozen=True)
class Index:
    """An index on disk, read by memory map. `identity` is None when nobody said which encoder made the
    vectors.
    """

    path: Path
    settings: Kind
    metric: Metric
    dimension: int
    identity: Identity | None
    segments: tuple[Segment, ...]

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """Open an index folder; raises FormatError when it is none, of another version, or its manifest
        is damaged.
        """
        path = Path(path)
        if not path.exists():
            raise FormatError("no such index", where=str(path))
        if not (path / MANIFEST).is_file():
            raise FormatError(f"is not an index: it has no {MANIFEST}", where=str(path))
        try:
            value = orjson.loads((path / MANIFEST).read_bytes())
            require_format(value, FORMAT, READS, thing="an index", where=str(path))
            identity = Identity.from_json(value["encoder"]) if value["encoder"] else None
            settings = spec.parse("index", value["kind"])
            segments = tuple(Segment.from_json(path / SEGMENTS, part, settings) for part in value["segments"])
            return cls(path, settings, value["metric"], value["dimension"], identity, segments)
        except UsageError as error:
            raise FormatError(f"its kind is not one this embedkit knows: {error}", where=str(path)) from None
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{MANIFEST} is damaged: {error!r}", where=str(path)) from None

    @property
    def kind(self) -> str:
        """The spec of the index kind."""
        return spec.render(self.settings)

    @property
    def rows(self) -> int:
        """Documents in all segments."""
        return sum(segment.rows for segment in self.segments)

    @cached_property
    def map_file(self) -> bytes | None:
        """The content of the map's file, when there is a map behind the encoder."""
        path = self.path / MAP
        return path.read_bytes() if path.is_file() else None

    def tuned(self, **settings: Any) -> Index:
        """Return the same index, searched with other settings: those that a kind leaves to the query.

        Raises UsageError for a setting that the kind does not have, or that settled how it was built.
        """
        known = self.settings.per_query
        for name in settings.keys() - known:
            hint = f"its settings for search: {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"{self.kind} is not searched with {name}", where=str(self.path), hint=hint)
        kind = replace(self.settings, **settings)  # type: ignore[type-var]
        return replace(
            self, settings=kind, segments=tuple(replace(segment, kind=kind) for segment in self.segments)
        )

    def require_encoder(self, encoder: Encoder) -> None:
        """Raise MismatchError, naming both fingerprints, unless queries of this encoder can be compared
        with the index.
        """
        if encoder.identity.dimension != self.dimension:
            wanted = self.identity or f"vectors of {self.dimension} columns"
            raise MismatchError(
                f"the index holds {wanted} with {self.dimension} columns, "
                f"the query encoder {encoder.identity} gives {encoder.identity.dimension}",
                where=str(self.path),
            )
        if self.identity is not None:
            self.identity.require_same_space(
                encoder.identity, where=str(self.path), mine="the index", others="the query"
            )

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[Floats, Rows]:
        """Return scores and row numbers over all segments, each `(queries, min(k, rows))`, best first.

        Scores are similarities. Equal scores are in order of row.
        """
        if k < 1:
            raise UsageError(f"{k} is not a positive number", where="-k")
        if queries.shape[1] != self.dimension:
            raise MismatchError(
                f"the index has {self.dimension} columns, the queries {queries.shape[1]}",
                where=str(self.path),
            )
        prepared = unit_length(queries) if self.metric == "cosine" else queries
        found = [segment.search(prepared, k) for segment in self.segments]
        scores = np.concatenate([part for part, _ in found], axis=1)
        rows = np.concatenate(
            [part + start for (_, part), start in zip(found, self._starts, strict=True)], axis=1
        )
        order = np.lexsort((rows, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def hits(self, queries: NDArray[np.float32], k: int, columns: list[str] | None = None) -> list[list[Hit]]:
        """Return the best `k` documents of each query; `columns` limits what is read of them."""
        scores, rows = self.search(queries, k)
        documents = iter(self.take(rows.reshape(-1), columns))
        return [
            [Hit(rank, float(score), next(documents)) for rank, score in enumerate(line, 1)]
            for line in scores
        ]

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents at some row numbers, in the order asked."""
        places = np.searchsorted(self._starts, rows, side="right") - 1
        found: list[dict[str, Any]] = [{} for _ in rows]
        for place in np.unique(places):
            wanted = np.flatnonzero(places == place)
            documents = self.segments[place].take(rows[wanted] - self._starts[place], columns)
            for at, document in zip(wanted, documents, strict=True):
                found[at] = document
        return found

    def warm(self) -> None:
        """Open what the first search needs, so that it can be done beside other work."""
        import pyarrow as pa  # noqa: F401 (documents are read with it)

        for segment in self.segments:
            _ = segment.opened

    def verify(self) -> None:
        """Raise FormatError naming the first file that is not what was written."""
        for segment in self.segments:
            segment.verify()

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(segment.rows for segment in self.segments)])[:-1]


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
        rows = _unit_rows(batches) if unit else batches
        segment = write_segment(folder / SEGMENTS / "00000", settings, rows, space)
        if meta.map_file is not None:
            write_whole(folder / MAP, meta.map_file)
        write_whole(folder / MANIFEST, _manifest(segment, meta, metric))
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


def _manifest(segment: Segment, meta: VectorMeta, metric: Metric) -> bytes:
    value = {
        "format": FORMAT,
        "version": VERSION,
        "kind": spec.render(segment.kind),
        "metric": metric,
        "dimension": meta.dimension,
        "rows": segment.rows,
        "encoder": meta.identity.to_json() if meta.identity else None,
        "segments": [segment.to_json()],
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _unit_rows(batches: Iterable[Batch]) -> Iterator[Batch]:
    for table, vectors in batches:
        yield Batch(table, unit_length(vectors))
