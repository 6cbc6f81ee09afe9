"""An encoder that copies the vectors of texts in an older vector set, and encodes only the other texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.data.identity import Identity
from embedkit.data.vectors.vector_set import DType, VectorSet
from embedkit.embedding.encoder import Encoder, Role, Vectors
from embedkit.errors import MismatchError


class Reusing:
    """`encoder`, with vectors of `old` copied where the text is exactly the same.

    It holds 16 bytes per row of the old set in memory; texts and vectors stay on disk. `reused` counts copied
    rows. Raises MismatchError when the old set comes from another encoder, has no texts, or stores its
    vectors less precisely.
    """

    def __init__(self, encoder: Encoder, old: VectorSet, dtype: DType = "float32") -> None:
        where = str(old.path)
        if old.meta.identity is None:
            raise MismatchError("does not state its encoder", where=where)
        old.meta.identity.require_same_space(encoder.identity, where=where, mine="it", others="the new set")
        if not old.meta.has_text:
            raise MismatchError("stores no texts, so unchanged texts cannot be recognised", where=where)
        stored = old.meta.dtype  # int8 codes would be rounded again, in other ranges
        if stored not in ("float32", dtype) or stored == "int8":
            hint = None if stored == "int8" else f"use `dtype={stored}`"
            raise MismatchError(f"stores {stored}, the new set {dtype}", where=where, hint=hint)
        self.encoder, self.old, self.reused = encoder, old, 0
        self._ends = np.cumsum([0, *(shard.rows for shard in old.shards)])
        digests = [_digests(old.column("text", shard).to_pylist()) for shard in range(len(old.shards))]
        hashes = np.concatenate(digests) if digests else np.empty(0, dtype=np.uint64)
        self._rows = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._rows]

    @property
    def identity(self) -> Identity:
        """The encoder's own identity: copied vectors equal newly encoded ones."""
        return self.encoder.identity

    @property
    def map(self) -> AffineMap | None:
        """The map after the encoder; None without one."""
        return getattr(self.encoder, "map", None)

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors, copied where the old set has the text."""
        rows = self._find(texts)
        known = np.flatnonzero(rows >= 0)
        missing = np.flatnonzero(rows < 0).tolist()
        vectors = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        vectors[known] = self._copy(rows[known])
        if missing:
            vectors[missing] = self.encoder.encode([texts[row] for row in missing], role)
        self.reused += len(known)
        return vectors

    def _find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the old row of each text, -1 for a text that the old set lacks."""
        wanted = _digests(texts)
        places = np.minimum(np.searchsorted(self._hashes, wanted), max(len(self._hashes) - 1, 0))
        rows = np.full(len(texts), -1, dtype=np.int64)
        if not len(self._hashes):
            return rows
        hits = np.flatnonzero(self._hashes[places] == wanted)
        candidates = self._rows[places[hits]]
        for shard, here in self._by_shard(candidates):
            old = self.old.column("text", shard).take(candidates[here] - self._ends[shard]).to_pylist()
            same = [text == texts[place] for text, place in zip(old, hits[here], strict=True)]
            rows[hits[here][same]] = candidates[here][same]  # digests of 64 bits may collide: compare texts
        return rows

    def _copy(self, rows: NDArray[np.int64]) -> Vectors:
        found = np.empty((len(rows), self.identity.dimension), dtype=np.float32)
        for shard, here in self._by_shard(rows):
            found[here] = self.old.vectors(shard)[rows[here] - self._ends[shard]]
        return found

    def _by_shard(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield each shard that contains some of the rows, and the positions of these rows."""
        shards = np.searchsorted(self._ends, rows, side="right") - 1
        for shard in np.unique(shards):
            yield int(shard), np.flatnonzero(shards == shard)


def _digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)
