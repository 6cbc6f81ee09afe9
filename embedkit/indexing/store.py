"""The index folder: segments, the manifest that names them, and all other files that a search needs.

docs.idx/
  manifest.json        format and version, kind, metric, the encoder's identity, segments with checksums
  map.safetensors      the map applied after the encoder, if there is one
  segments/00000/      the kind's files (vectors.faiss ...), lexical.safetensors if its documents have text,
                       documents/part-00000.arrow ..., and deleted-00001.bits once some are deleted
  writer.lock          the current writer
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.identity import Identity
from embedkit.embedding.encoder import STATIC, Encoder, is_hashed, unit_length
from embedkit.errors import DataError, FormatError, MismatchError, UsageError
from embedkit.indexing.hits import Hit, ranked_hits
from embedkit.indexing.kind import Floats, IndexKind, Mask, Metric, Rows
from embedkit.indexing.lock import Lease
from embedkit.indexing.manifest import Manifest, read_manifest
from embedkit.indexing.numbered_rows import NumberedRows
from embedkit.indexing.ranking import Ranking
from embedkit.indexing.segment import Segment

if TYPE_CHECKING:  # imported where they are used, as most searches need none of them
    from embedkit.data.affine import AffineMap
    from embedkit.data.folders.file_states import FileStates
    from embedkit.indexing.lexical.bm25 import Lexical
    from embedkit.indexing.lexical.fusion import Fusion

MAP = "map.safetensors"
CHECKED_WHOLE = 64_000_000  # bytes; smaller indexes are checked in full before their first search


@dataclass(frozen=True)
class Index:
    """An index on disk, read by memory map, at the generation at which it was opened: while this object
    exists, writers keep the files of that generation.
    """

    path: Path
    manifest: Manifest
    leases: tuple[Lease, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """Open an index folder; raises FormatError when it is not an index, of another version, or
        damaged.
        """
        path = Path(path)
        while True:
            manifest = read_manifest(path)
            try:
                leases = tuple(Lease(segment.folder) for segment in manifest.segments)
                for segment in manifest.segments:
                    segment.open_tombstones()
                return cls(path, manifest, leases)
            except (FileNotFoundError, BlockingIOError, FormatError) as error:
                if read_manifest(path) == manifest:
                    raise _missing(error) from None  # otherwise a writer replaced the generation; retry

    @property
    def settings(self) -> IndexKind:
        """Return the settings of the index kind."""
        return self.manifest.settings

    @property
    def metric(self) -> Metric:
        """Return the similarity measure."""
        return self.manifest.metric

    @property
    def dimension(self) -> int:
        """Return the dimension of the vectors."""
        return self.manifest.dimension

    @property
    def identity(self) -> Identity | None:
        """Return the encoder that made the vectors; None if it is unknown."""
        return self.manifest.identity

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Return the segments, oldest first."""
        return self.manifest.segments

    @property
    def kind(self) -> str:
        """Return the spec of the index kind."""
        return spec.render(self.settings)

    @property
    def rows(self) -> int:
        """Count the documents that are not deleted."""
        return self.manifest.rows

    @cached_property
    def map(self) -> AffineMap | None:
        """Return the map applied after the encoder, or None without one; raises FormatError if its file
        differs from what was written.
        """
        from embedkit.data.affine import AffineMap

        path = self.path / MAP
        if self.manifest.map is not None:  # otherwise an earlier version, which did not record it
            self.manifest.map.require_whole(self.path)
        return AffineMap.load(path) if path.is_file() else None

    def tuned(self, **settings: Any) -> Index:
        """Return the same index with other settings for search, among those that a kind sets per query.

        Raises UsageError for a setting that the kind does not have, or that was fixed when it was built.
        """
        known = self.settings.per_query
        for name in settings.keys() - known:
            hint = f"its settings for search: {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"{self.kind} is not searched with {name}", where=str(self.path), hint=hint)
        kind = replace(self.settings, **settings)  # type: ignore[type-var]
        segments = tuple(replace(segment, kind=kind) for segment in self.segments)
        return replace(self, manifest=replace(self.manifest, settings=kind, segments=segments))

    def require_encoder(self, encoder: Encoder) -> None:
        """Raise MismatchError, naming both fingerprints, unless queries of this encoder can be compared with
        the index: it is the encoder of the documents, or has learnt its vectors.
        """
        if encoder.identity.dimension != self.dimension:
            wanted = self.identity or f"vectors of {self.dimension} columns"
            raise MismatchError(
                f"the index holds {wanted} with {self.dimension} columns, "
                f"the query encoder {encoder.identity} gives {encoder.identity.dimension}",
                where=str(self.path),
            )
        if self.identity is not None and not encoder.identity.is_student_of(self.identity):
            self.identity.require_same_space(
                encoder.identity, where=str(self.path), mine="the index", others="the query"
            )

    def search(
        self, queries: NDArray[np.float32], k: int, passing: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return scores and row numbers over all segments, best first: `k` columns, or fewer if there are
        fewer rows.

        Scores are similarities. Rows with equal scores are in row order. Row numbers include deleted rows;
        these are never hits, nor are rows where `passing`, `(stored_rows,)`, is false.
        """
        if k < 1:
            raise UsageError(f"must be at least 1, got {k}", where="`k`")
        self.require_whole()
        return self.best(self.prepared(queries), k, passing, range(len(self.segments)))

    def best(self, prepared: Floats, k: int, passing: Mask | None, places: range) -> tuple[Floats, Rows]:
        """Return scores and row numbers as `search` does, over the segments at `places`, for prepared
        queries.
        """
        return self._numbered.best(prepared, k, passing, places)

    def prepared(self, queries: NDArray[np.float32]) -> Floats:
        """Return queries in the form of stored rows, with unit length under `cosine`.

        Raises MismatchError for another dimension, and DataError for a query that contains NaN or infinity.
        """
        if queries.shape[1] != self.dimension:
            raise MismatchError(
                f"the index has {self.dimension} columns, the queries {queries.shape[1]}",
                where=str(self.path),
            )
        finite = np.isfinite(queries).all(axis=1)
        if not finite.all():
            what = f"the vector of query {int(np.argmin(finite)) + 1} has a number that is not finite"
            raise DataError(what, where=str(self.path))
        return unit_length(queries) if self.metric == "cosine" else queries

    @cached_property
    def lexical(self) -> Lexical:
        """Return the lexical parts of all segments, opened; raises UsageError when the index has none."""
        from embedkit.indexing.lexical.bm25 import Lexical, Part

        self.require_whole()
        settings, where = self.manifest.lexical, str(self.path)
        if settings is None:
            command = f"embedkit index compact {where}"
            if self.manifest.without_lexical:
                command = f"embedkit index compact {where} --lexical language=en"
            hint = f"add it with {command}"
            raise UsageError("has no lexical part", where=where, hint=hint)
        parts = tuple(
            Part(start, segment.rows, segment.postings, segment.live)
            for start, segment in zip(self._numbered.starts.tolist(), self.segments, strict=True)
        )
        if self.rows and not any(part.postings for part in parts):
            raise UsageError("its documents have no text to search by words", where=where)
        return Lexical(settings, parts, self.rows)

    def require_lexical(self) -> Lexical:
        """Return the lexical parts; raises UsageError when the index cannot be searched by words."""
        return self.lexical

    @property
    def weight(self) -> float:
        """Return the share of the similarities in a fused search: as it was tuned, or else the default."""
        return self.default_weight if self.manifest.weight is None else self.manifest.weight.weight

    @property
    def default_weight(self) -> float:
        """Return the share of the similarities in a fused search where it was not tuned."""
        from embedkit.indexing.lexical.fusion import HASHED_WEIGHT, STATIC_WEIGHT, WEIGHT

        if self.identity is None:
            return WEIGHT
        if is_hashed(self.identity.model):
            return HASHED_WEIGHT
        return STATIC_WEIGHT if self.identity.pooling == STATIC else WEIGHT

    @cached_property
    def sampled_vectors(self) -> Floats:
        """Return the vectors of `Lexical.sample`, on which the spread of similarities is estimated."""
        return self.vectors(self.lexical.sample())

    def hits(
        self,
        queries: NDArray[np.float32],
        k: int,
        columns: list[str] | None = None,
        *,
        texts: Sequence[str] = (),
        hybrid: float | Fusion | None = None,
    ) -> list[list[Hit]]:
        """Return the best `k` documents per query; `columns` limits the fields that are read.

        With `hybrid`, the weight of the vectors between 0 and 1, vectors are searched together with the words
        of `texts`, one per query; raises UsageError for another number of texts.
        """
        if hybrid is None:
            plain = [Ranking(*pair) for pair in zip(*self.search(queries, k), strict=True)]
            return self.ranked(plain, columns)
        from embedkit.indexing.lexical.fusion import FusedSearch, Fusion
        from embedkit.indexing.lexical.operators import literal_query

        fusion = hybrid if isinstance(hybrid, Fusion) else Fusion(hybrid)
        if len(texts) != len(queries):
            raise UsageError(f"{len(queries)} queries need {len(queries)} texts, got {len(texts)}")
        typed = [literal_query(text, self.lexical.settings) for text in texts]
        found = FusedSearch(self, self.lexical, fusion, self.search).rankings(queries, typed, k)
        return self.ranked(found, columns)

    def ranked(self, rankings: Sequence[Ranking], columns: list[str] | None = None) -> list[list[Hit]]:
        """Return hits with ranks and documents for rankings, one list per query."""
        rows = np.concatenate([np.empty(0, np.int64), *(each.rows for each in rankings)])
        return ranked_hits(rankings, self.take(rows, columns))

    def take(self, rows: Rows, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the documents at some row numbers, in the order of `rows`."""
        return self._numbered.take(rows, columns)

    def find(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the row numbers of documents by their ids; ids that are missing or deleted are left out."""
        return self._numbered.find(ids)

    def vectors(self, rows: Rows) -> Floats:
        """Return the stored vectors at some row numbers, `(len(rows), dimension)`."""
        return self._numbered.vectors(rows, self.dimension)

    @property
    def stored_rows(self) -> int:
        """Count the rows of all segments, deleted rows included."""
        return len(self._numbered)

    def warm(self) -> None:
        """Open the files that the first search needs, so that this can run in parallel with other work."""
        self.open_files()
        for segment in self.segments:
            segment.warm()

    def open_files(self) -> None:
        """Open the files that an exact search needs, as `warm` does for every search."""
        import pyarrow as pa  # noqa: F401 (imported early: documents are read with it)

        self.require_whole()
        for segment in self.segments:
            segment.open()

    def require_whole(self) -> bool:
        """Check an index of less than 64 MB in full, once; return False for a larger one, which only `verify`
        checks.

        Raises FormatError naming the first file that differs from what was written.
        """
        return self._checked

    def verify(self) -> None:
        """Raise FormatError naming the first file that differs from what was written."""
        for segment in self.segments:
            segment.verify()
        if self.manifest.map is not None:
            self.manifest.map.require_whole(self.path)
        self._verify_states()

    @cached_property
    def states(self) -> FileStates | None:
        """Return the states of the files whose passages are documents; None if the index follows no folder.

        Raises FormatError when they differ from what was written.
        """
        from embedkit.indexing.followed_files import load_states

        return load_states(self.path, self.manifest.files) if self.manifest.files is not None else None

    def _verify_states(self) -> None:
        try:
            if self.manifest.files is not None:
                self.manifest.files.require_whole(self.path)
        except FormatError:
            if read_manifest(self.path) == self.manifest:
                raise  # otherwise a writer replaced them, and no search reads them

    @cached_property
    def _checked(self) -> bool:
        small = sum(segment.size for segment in self.segments) < CHECKED_WHOLE
        if small:
            self.verify()
        return small

    @cached_property
    def _numbered(self) -> NumberedRows:
        return NumberedRows(self.segments)


def _missing(error: OSError | FormatError) -> FormatError:
    """Return the error for a segment that the manifest names and that is missing or damaged."""
    if isinstance(error, FormatError):
        return error
    return FormatError("is missing", where=str(error.filename or error), hint="the folder is damaged")
