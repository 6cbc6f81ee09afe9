"""The service behind a server: its indexes, which it follows as they change, their encoders and searches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from embedkit.errors import FormatError, UnknownNameError, UsageError
from embedkit.indexing.store import Index
from embedkit.serving.query_encoding import Counter, Encoding, Encodings, Loader, query_encoder
from embedkit.serving.question import Search
from embedkit.serving.searching import Answer, Searcher, run_in
from embedkit.serving.serve_settings import Limits
from embedkit.serving.served_index import ServedIndex, index_names

_FOLLOW = 0.25  # seconds between looks at the manifests

Result = TypeVar("Result")


class SearchService:
    """Indexes that are searched by many requests at once, and followed as they change on disk.

    `start` and `stop` belong to the event loop of the requests. Raises the errors of opening the indexes and
    of loading their encoders.
    """

    def __init__(
        self, paths: Sequence[str | Path], limits: Limits | None = None, load: Loader = query_encoder
    ) -> None:
        self.limits = limits or Limits()
        if not paths:
            raise UsageError("no index was named")
        self._encoders = ThreadPoolExecutor(4, thread_name_prefix="encode")
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open")
        self._searcher = Searcher(self.limits)
        self.on_encoded: Counter = lambda texts: None
        encodings = Encodings(load, self._encoders, self._count)
        self.indexes = {
            name: ServedIndex(name, path, encodings)
            for name, path in index_names(list(map(Path, paths))).items()
        }
        self._following: asyncio.Task[None] | None = None

    def _count(self, texts: int) -> None:
        self.on_encoded(texts)

    async def start(self) -> None:
        """Begin to follow the indexes."""
        self._following = asyncio.create_task(self._follow())
        self._searcher.start()

    async def stop(self) -> None:
        """Stop following, and end the threads and processes once their work is done."""
        if self._following is not None:
            self._following.cancel()
        self.close()

    def close(self) -> None:
        """End the threads and processes."""
        for pool in (self._encoders, self._opener):
            pool.shutdown(wait=False, cancel_futures=True)
        self._searcher.close()

    def index(self, name: str | None) -> ServedIndex:
        """Return the index of a name, or the first without one; raises UnknownNameError."""
        if name is None:
            return next(iter(self.indexes.values()))
        if name not in self.indexes:
            raise UnknownNameError(name, self.indexes, what="index")
        return self.indexes[name]

    def encoding(self, name: str) -> Encoding:
        """Return the encoder of the index or of the model of this name; raises UnknownNameError."""
        open_now = [(each.name, each.current.encoding) for each in self.indexes.values()]
        known = {encoding.encoder.identity.model: encoding for _, encoding in open_now} | dict(open_now)
        if name not in known:
            raise UnknownNameError(name, known, what="model")
        return known[name]

    async def search(self, queries: Sequence[str], search: Search) -> list[Answer]:
        """Return the answer to each query; an index that changes meanwhile is opened again.

        Raises UsageError for a search that the index cannot answer, and RequestError if too many wait.
        """
        served = self.index(search.index)
        generation = served.current
        try:
            return await self._searcher.search(generation, queries, search)
        except (FormatError, FileNotFoundError):  # the folder was replaced, and files of the old one are gone
            await run_in(self._opener, served.refresh)
            if served.current is generation:
                raise
            return await self._searcher.search(served.current, queries, search)

    async def documents(self, ids: Sequence[str], name: str | None = None) -> list[dict[str, Any] | None]:
        """Return the documents of some ids, None for an id that the index does not have."""
        index = self.index(name).current.index
        return await self.run(_documents, index, ids)

    async def run(self, work: Callable[..., Result], *given: Any) -> Result:
        """Return the result of a function, called off the event loop."""
        return await self._searcher.run(work, *given)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_FOLLOW)
            for served in self.indexes.values():
                await run_in(self._opener, served.refresh)


def _documents(index: Index, ids: Sequence[str]) -> list[dict[str, Any] | None]:
    rows = index.find(ids)
    present = [id for id in ids if id in rows]
    taken = index.take(np.array([rows[id] for id in present], dtype=np.int64))
    documents = dict(zip(present, taken, strict=True))
    return [documents.get(id) for id in ids]
