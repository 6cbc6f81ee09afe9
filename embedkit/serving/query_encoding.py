"""The encoder of the queries: loaded once for all indexes of the same encoder, and fed by one queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import STATIC, Encoder, Role, Vectors, is_hashed, require_finite, with_maps
from embedkit.errors import UsageError
from embedkit.indexing.store import Index
from embedkit.serving.batch_queue import BatchQueue

MOST = 256  # texts that are encoded together
WAITING = 16_384  # texts that may wait

Loader = Callable[[Index], Encoder]
Counter = Callable[[int], None]  # is called with the number of texts of each batch


class Texts(NamedTuple):
    """The texts of one request."""

    texts: Sequence[str]
    role: Role


class Encoding:
    """An encoder whose requests are encoded together."""

    def __init__(self, encoder: Encoder, pool: Executor, count: Counter = lambda texts: None) -> None:
        self.encoder = encoder
        model, pooling = encoder.identity.model, encoder.identity.pooling
        # encoding a query with these takes about as long as a change of threads
        self.light = is_hashed(model) or pooling == STATIC
        self._count = count
        threads = 1 if self.light else 2  # one reads tokens while one computes
        self._queue: BatchQueue[Texts, Vectors] = BatchQueue(
            partial(_encoded, encoder, count), pool, most=MOST, limit=WAITING, threads=threads
        )

    async def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the vectors of the texts of one request, `(len(texts), dimension)`.

        More texts than are encoded together are encoded part by part, so that other requests come between.
        """
        parts = [
            await self._queue.do(Texts(texts[start : start + MOST], role), len(texts[start : start + MOST]))
            for start in range(0, len(texts), MOST)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take_thread(self) -> bool:
        """Take the place of a thread if none encodes, for `encode_here`; `free_thread` gives it back."""
        return self._queue.take_thread()

    def free_thread(self) -> None:
        """Give the place of a thread back."""
        self._queue.free_thread()

    def encode_here(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the vectors of texts, `(len(texts), dimension)`, computed in the thread of the caller."""
        (vectors,) = _encoded(self.encoder, self._count, [Texts(texts, role)])
        return vectors


class Encodings:
    """The encoders in use, one per identity; one per index if the identity is unknown."""

    def __init__(self, load: Loader, pool: Executor, count: Counter = lambda texts: None) -> None:
        self._load, self._pool, self._count = load, pool, count
        self._open: WeakValueDictionary[Identity | Path, Encoding] = WeakValueDictionary()

    def of(self, index: Index) -> Encoding:
        """Return the encoder of the queries to an index, ready to encode.

        Raises the errors of loading it, and MismatchError if it does not fit the index.
        """
        key = index.identity or index.path
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Encoding(self._load(index), self._pool, self._count)
            found.encoder.encode(["ready"], "query")
        index.require_encoder(found.encoder)
        return found


def query_encoder(index: Index) -> Encoder:
    """Load the encoder that made the vectors of an index, with the index's map.

    Raises UsageError if the encoder is unknown, and the errors of `load`.
    """
    from embedkit.embedding.loading import load, settings_of

    if index.identity is None:
        hint = "name it with `model`"
        raise UsageError("the encoder of these vectors is unknown", where=str(index.path), hint=hint)
    return with_maps(load(settings_of(index.identity)), [] if index.map is None else [index.map])


def _encoded(encoder: Encoder, count: Counter, requests: Sequence[Texts]) -> list[Vectors]:
    """Return the vectors of each request; requests of the same role are encoded together."""
    found: list[Vectors] = [np.empty((0, encoder.identity.dimension), np.float32)] * len(requests)
    for role in dict.fromkeys(request.role for request in requests):
        places = [place for place, request in enumerate(requests) if request.role == role]
        texts = [text for place in places for text in requests[place].texts]
        vectors = encoder.encode(texts, role)
        require_finite(vectors, texts)
        count(len(texts))
        ends = np.cumsum([len(requests[place].texts) for place in places])
        for place, part in zip(places, np.split(vectors, ends[:-1]), strict=True):
            found[place] = part
    return found
