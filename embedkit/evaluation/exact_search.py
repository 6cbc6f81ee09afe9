"""Search a corpus exactly in one pass, with several encoders at once; keep the best hits of each encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.identity import Identity
from embedkit.data.text.qrels import compared
from embedkit.data.text.record import Record
from embedkit.embedding.batching import Encoded, encode_records
from embedkit.embedding.encoder import Encoder, Mapped, Role, Vectors, require_finite, unit_length
from embedkit.errors import DataError

Rows = NDArray[np.int64]


class Found(NamedTuple):
    """The nearest documents of each query by cosine, best first, each `(queries, k)`; fewer columns when the
    corpus has fewer documents.
    """

    scores: Vectors
    rows: Rows  # row numbers in the corpus


class CorpusSearch(NamedTuple):
    """The ids of a corpus, in order and in the form used for comparison, and the hits of each encoder."""

    ids: list[str]
    found: list[Found]

    def by_id(self, found: Found) -> Iterator[dict[str, float]]:
        """Yield, per query, the scores of its hits by document id."""
        for rows, scores in zip(found.rows, found.scores, strict=True):
            yield {self.ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)}


def search_corpus(
    encoders: Sequence[Encoder],
    queries: Sequence[str],
    records: Iterable[Record],
    k: int,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> CorpusSearch:
    """Find the `k` nearest of the records to each query by cosine, exactly, for each encoder.

    A text is encoded once for all maps of one encoder. Memory holds the ids, the queries, `k` hits per query
    and a window of records; `on_batch` is called with the number of records of each window. Raises DataError
    for a repeated id, for a vector that is not finite, and when there is no record.
    """
    side_by_side = _SideBySide(encoders)
    texts = [Record("", text, {}) for text in queries]
    asked = [_finite(window).vectors for window in encode_records(side_by_side, texts, "query")]
    nearest = [_Nearest(Q, k) for Q in side_by_side.spaces(np.concatenate(asked))]
    ids: dict[str, None] = {}
    for window in encode_records(side_by_side, records):
        first = len(ids)
        for record in _finite(window).records:
            if (name := compared(record.id)) in ids:
                raise DataError(f"id {name!r} occurs twice", where=getattr(records, "name", None))
            ids[name] = None
        for each, X in zip(nearest, side_by_side.spaces(window.vectors), strict=True):
            each.add(X, first)
        on_batch(len(window.records))
    if not ids:
        raise DataError("the input contains no text", where=getattr(records, "name", None))
    return CorpusSearch(list(ids), [each.found for each in nearest])


def _finite(window: Encoded) -> Encoded:
    """Return the window, or raise DataError for a vector that is not finite."""
    require_finite(window.vectors, [record.text for record in window.records])
    return window


class _SideBySide:
    """The distinct encoders without maps behind the given ones, as one encoder that concatenates their
    vectors.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = encoders
        self._plain = list({id(_plain(each)): _plain(each) for each in encoders}.values())
        self.identity: Identity = self._plain[0].identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return the concatenated vectors of all encoders, `(len(texts), sum of dimensions)`."""
        return np.concatenate([each.encode(texts, role) for each in self._plain], axis=1)

    def spaces(self, vectors: Vectors) -> Iterator[Vectors]:
        """Yield the vectors `(rows, dimension)` of each given encoder, mapped and scaled to unit length."""
        ends = np.cumsum([each.identity.dimension for each in self._plain])[:-1]
        parts = dict(zip(map(id, self._plain), np.split(vectors, ends, axis=1), strict=True))
        for encoder in self._encoders:
            part = parts[id(_plain(encoder))]
            yield unit_length(encoder.transform.apply(part) if isinstance(encoder, Mapped) else part)


def _plain(encoder: Encoder) -> Encoder:
    return encoder.encoder if isinstance(encoder, Mapped) else encoder


class _Nearest:
    """The `k` nearest rows so far of each query, for queries `(queries, dim)`."""

    def __init__(self, queries: Vectors, k: int) -> None:
        self._queries, self._k = np.ascontiguousarray(queries), k
        empty = np.empty((len(queries), 0))
        self.found = Found(empty.astype(np.float32), empty.astype(np.int64))

    def add(self, X: Vectors, first: int) -> None:
        """Search rows `(rows, dim)`, which are numbered from `first`, and keep the nearest."""
        import faiss

        k = min(self._k, len(X))
        scores, rows = faiss.knn(self._queries, np.ascontiguousarray(X), k, metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([self.found.scores, scores], axis=1)
        rows = np.concatenate([self.found.rows, rows + first], axis=1)
        order = np.lexsort((rows, -scores), axis=1)[:, : self._k]  # equal scores: the lower row first
        self.found = Found(np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1))
