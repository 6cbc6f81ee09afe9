"""The searches of a server: queries of many requests are encoded together and searched together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedkit.embedding.encoder import thread_count
from embedkit.errors import FormatError, UnknownNameError, UsageError
from embedkit.indexing.hits import Hit, hit_values
from embedkit.indexing.kind import Mask
from embedkit.indexing.lexical.operators import LexicalQuery
from embedkit.indexing.store import Index
from embedkit.serving.asked import Asked, read_words, search_together
from embedkit.serving.batch_queue import BatchQueue
from embedkit.serving.filters import Filters
from embedkit.serving.highlighting import highlighted
from embedkit.serving.query_encoding import Counter, Encoding, Encodings, Loader, query_encoder
from embedkit.serving.question import Search
from embedkit.serving.serve_settings import Limits
from embedkit.serving.served_index import Generation, ServedIndex, index_names

_TOGETHER = 1000  # hits that are searched for together
_WAITING = 100_000  # hits of the queries that may wait for the search
_SHORT = 1000  # characters of the queries of a request that may be encoded where they are searched
_FOLLOW = 0.25  # seconds between looks at the manifests


class Answer(NamedTuple):
    """The hits of a query as values of JSON, and the generation of the index that they come from."""

    query: str
    hits: list[dict[str, Any]]
    generation: int


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
        processors = thread_count()
        self._encoders = ThreadPoolExecutor(4, thread_name_prefix="encode")
        self._searchers = ThreadPoolExecutor(processors + 2, thread_name_prefix="search")
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open")
        self._filterers = ThreadPoolExecutor(2, thread_name_prefix="filter")
        self._filters = Filters(self.limits)
        self._searches: BatchQueue[Asked, list[Hit]] = BatchQueue(
            search_together, self._searchers, most=_TOGETHER, limit=_WAITING, threads=processors
        )
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
        if find_spec("duckdb") is not None:
            self._filterers.submit(self._filters.start)

    async def stop(self) -> None:
        """Stop following, and end the threads and processes once their work is done."""
        if self._following is not None:
            self._following.cancel()
        self.close()

    def close(self) -> None:
        """End the threads and processes."""
        for pool in (self._encoders, self._searchers, self._opener, self._filterers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._filters.close()

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
            return await self._search(generation, queries, search)
        except (FormatError, FileNotFoundError):  # the folder was replaced, and files of the old one are gone
            await self._in(self._opener, served.refresh)
            if served.current is generation:
                raise
            return await self._search(served.current, queries, search)

    async def documents(self, ids: Sequence[str], name: str | None = None) -> list[dict[str, Any] | None]:
        """Return the documents of some ids, None for an id that the index does not have."""
        index = self.index(name).current.index
        found: list[dict[str, Any] | None] = await self.run(_documents, index, ids)
        return found

    async def run(self, work: Any, *given: Any) -> Any:
        """Return the result of a function, called off the event loop."""
        return await self._in(self._searchers, work, *given)

    async def _search(self, generation: Generation, queries: Sequence[str], search: Search) -> list[Answer]:
        index = generation.index
        words = read_words(generation, queries, search)
        passing = None
        if search.where is not None:
            passing = await self._in(self._filterers, self._filters.mask, index, search.where)
        found = await self._found(generation, queries, search, words, passing)
        if search.snippet is None:
            self._require_small(found)
        if not (search.highlight or search.snippet):
            answers = [[hit_values(hit) for hit in line] for line in found]
        else:
            answers = await self._in(self._searchers, highlighted, index, search, queries, words, found)
        return [Answer(query, line, generation.number) for query, line in zip(queries, answers, strict=True)]

    async def _found(
        self,
        generation: Generation,
        queries: Sequence[str],
        search: Search,
        words: Sequence[LexicalQuery] | None,
        passing: Mask | None,
    ) -> list[list[Hit]]:
        """Return the hits of each query, whose texts are encoded where they are searched if that is faster:
        with a light encoder, and where one short query finds the encoder idle.
        """
        encoding, vectors = generation.encoding, None
        texts = queries if words is None else [each.text for each in words]
        short = sum(map(len, texts)) <= _SHORT
        no_hop = search.lexical or (encoding.light and short)
        alone = not no_hop and short and len(texts) == 1 and encoding.take_thread()
        try:
            if not (no_hop or alone):
                vectors = await encoding.encode(texts, "query")
            waiting = [
                self._searches.do(
                    Asked(
                        generation,
                        search,
                        passing,
                        texts[place],
                        None if vectors is None else vectors[place],
                        None if words is None else words[place],
                    ),
                    search.k,
                )
                for place in range(len(texts))
            ]
            return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)
        finally:
            if alone:
                encoding.free_thread()

    def _require_small(self, found: Sequence[Sequence[Hit]]) -> None:
        """Raise UsageError if the texts of all hits are too long for one answer."""
        size = sum(len(hit.document.get("text") or "") for line in found for hit in line)
        if size > self.limits.answer:
            what = f"the hits have {size:,} characters of text, at most {self.limits.answer:,} are allowed"
            raise UsageError(what, hint="lower 'k', or cut the texts with 'snippet'")

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_FOLLOW)
            for served in self.indexes.values():
                await self._in(self._opener, served.refresh)

    async def _in(self, pool: ThreadPoolExecutor, work: Any, *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))


def _documents(index: Index, ids: Sequence[str]) -> list[dict[str, Any] | None]:
    rows = index.find(ids)
    present = [id for id in ids if id in rows]
    taken = index.take(np.array([rows[id] for id in present], dtype=np.int64))
    documents = dict(zip(present, taken, strict=True))
    return [documents.get(id) for id in ids]
