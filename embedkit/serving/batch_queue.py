"""Work of many requests, done together: what waits is collected, done at once, and handed back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from embedkit.serving.http_errors import BUSY, RequestError

PAUSE = 0.1  # of the time of a batch
LONGEST_PAUSE = 0.05  # seconds

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiting(NamedTuple):
    item: Any
    weight: int
    future: asyncio.Future[Any]


@dataclass
class BatchQueue(Generic[Item, Result]):
    """Items that wait are passed to `work` together, in a thread of `pool`, which returns a result per item.

    An item that finds a free thread starts at once; those that arrive in the meantime form the next batch. So
    batches grow with the load, and one request alone waits for no other. After a batch of several, clients
    send their next requests: a thread that finds few then waits for a short part of the time that the batch
    took. If a batch fails, its items are worked on one by one, so that an item fails by its own fault only.
    """

    work: Callable[[Sequence[Item]], Sequence[Result]]
    pool: Executor
    most: int  # weight of a batch; an item that weighs more is a batch of its own
    limit: int  # weight of all items that wait; more are refused
    threads: int = 1
    _waiting: deque[_Waiting] = field(default_factory=deque, repr=False)
    _weight: int = 0
    _running: int = 0

    async def do(self, item: Item, weight: int = 1) -> Result:
        """Return the result of an item; raises RequestError if too many wait, or the exception of its work.

        Belongs to one event loop.
        """
        if self._waiting and self._weight + weight > self.limit:
            raise RequestError(BUSY, "too many requests are waiting; try again later", code="busy")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, weight, future))
        self._weight += weight
        self._start()
        result: Result = await future
        return result

    def _start(self) -> None:
        while self._waiting and self._running < self.threads:
            batch = self._next()
            if batch:
                self._running += 1
                loop = asyncio.get_running_loop()
                done = loop.run_in_executor(self.pool, self._results, [each.item for each in batch])
                done.add_done_callback(partial(self._finish, batch, loop.time()))

    def _next(self) -> list[_Waiting]:
        """Remove the next batch from the queue, without the items whose requests have ended."""
        batch: list[_Waiting] = []
        weight = 0
        while self._waiting and (not batch or weight + self._waiting[0].weight <= self.most):
            each = self._waiting.popleft()
            self._weight -= each.weight
            if not each.future.done():
                batch.append(each)
                weight += each.weight
        return batch

    def _results(self, items: list[Item]) -> list[Result | Exception]:
        try:
            return list(self.work(items))
        except Exception as error:
            return [error] if len(items) == 1 else [self._results([item])[0] for item in items]

    def _finish(
        self, batch: list[_Waiting], started: float, results: asyncio.Future[list[Result | Exception]]
    ) -> None:
        """Hand the results back, and free the thread."""
        found = results.result()
        for each, result in zip(batch, found, strict=True):
            if each.future.done():
                continue  # its request has ended
            if isinstance(result, Exception):
                each.future.set_exception(result)
            else:
                each.future.set_result(result)
        loop = asyncio.get_running_loop()
        if len(batch) > 1 and len(self._waiting) < len(batch):
            loop.call_later(min(PAUSE * (loop.time() - started), LONGEST_PAUSE), self._free)
        else:
            self._free()

    def _free(self) -> None:
        """Let a thread begin its next batch."""
        self._running -= 1
        self._start()
