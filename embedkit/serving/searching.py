"""Searching of one generation of an index: queries become vectors and words, then hits, then JSON values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar

from embedkit.embedding.encoder import Vectors, thread_count
from embedkit.errors import UsageError
from embedkit.indexing.hits import Hit, hit_values
from embedkit.serving.asked import Asked, read_words, search_together
from embedkit.serving.batch_queue import BatchQueue
from embedkit.serving.filters import Filters
from embedkit.serving.highlighting import highlighted
from embedkit.serving.question import Search
from embedkit.serving.serve_settings import Limits
from embedkit.serving.served_index import Generation

_TOGETHER = 1000  # hits that are searched for together
_WAITING = 100_000  # hits of the queries that may wait for the search
_SHORT = 1000  # characters of the queries of a request that may be encoded where they are searched

Result = TypeVar("Result")


class Answer(NamedTuple):
    """The hits of a query as values of JSON, and the generation of the index that they come from."""

    query: str
    hits: list[dict[str, Any]]
    generation: int


class Searcher:
    """Threads that search and that filter; the queries of many requests are searched together."""

    def __init__(self, limits: Limits) -> None:
        processors = thread_count()
        self._limits, self._filters = limits, Filters(limits)
        self._threads = ThreadPoolExecutor(processors + 2, thread_name_prefix="search")
        self._filterers = ThreadPoolExecutor(2, thread_name_prefix="filter")
        self._searches: BatchQueue[Asked, list[Hit]] = BatchQueue(
            search_together, self._threads, most=_TOGETHER, limit=_WAITING, threads=processors
        )

    def start(self) -> None:
        """Start the processes that filter, so that the first filter does not wait for them."""
        if find_spec("duckdb") is not None:
            self._filterers.submit(self._filters.start)

    def close(self) -> None:
        """End the threads and processes."""
        for pool in (self._threads, self._filterers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._filters.close()

    async def run(self, work: Callable[..., Result], *given: Any) -> Result:
        """Return the result of a function, called off the event loop."""
        return await run_in(self._threads, work, *given)

    async def search(self, generation: Generation, queries: Sequence[str], search: Search) -> list[Answer]:
        """Return the answer to each query; raises UsageError for a search that the index cannot answer."""
        index, words, passing = generation.index, read_words(generation, queries, search), None
        if search.where is not None:
            passing = await run_in(self._filterers, self._filters.mask, index, search.where)
        texts = queries if words is None else [each.text for each in words]
        asked = [
            Asked(generation, search, passing, text, None, None if words is None else words[place])
            for place, text in enumerate(texts)
        ]
        found = await self._found(asked)
        if search.snippet is None:
            self._require_small(found)
        if search.highlight or search.snippet:
            answers = await self.run(highlighted, index, search, queries, words, found)
        else:
            answers = [[hit_values(hit) for hit in hits] for hits in found]
        return [Answer(query, hits, generation.number) for query, hits in zip(queries, answers, strict=True)]

    async def _found(self, asked: Sequence[Asked]) -> list[list[Hit]]:
        """Return the hits of the queries of one request, whose texts are encoded where they are searched if
        that is faster: with a light encoder, and where one short query finds the encoder idle.
        """
        encoding, texts = asked[0].generation.encoding, [each.text for each in asked]
        if asked[0].search.lexical:
            return await self._together(asked)
        if sum(map(len, texts)) <= _SHORT:
            if encoding.light:
                return await self._together(asked)
            if len(asked) == 1 and encoding.take_thread():
                try:
                    return await self._together(asked)
                finally:
                    encoding.free_thread()
        vectors: Vectors = await encoding.encode(texts, "query")
        return await self._together(
            [each._replace(vector=vector) for each, vector in zip(asked, vectors, strict=True)]
        )

    async def _together(self, asked: Sequence[Asked]) -> list[list[Hit]]:
        """Return the hits of queries, each of which is searched together with others that wait."""
        waiting = [self._searches.do(each, each.search.k) for each in asked]
        return [await waiting[0]] if len(waiting) == 1 else await asyncio.gather(*waiting)

    def _require_small(self, found: Sequence[Sequence[Hit]]) -> None:
        """Raise UsageError if the texts of all hits are too long for one answer."""
        size = sum(len(hit.document.get("text") or "") for hits in found for hit in hits)
        if size > self._limits.answer:
            what = f"the hits have {size:,} characters of text, at most {self._limits.answer:,} are allowed"
            raise UsageError(what, hint="lower 'k', or cut the texts with 'snippet'")


async def run_in(pool: Executor, work: Callable[..., Result], *given: Any) -> Result:
    """Return the result of a function, called in a thread of a pool."""
    return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))
