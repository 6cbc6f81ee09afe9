"""Work of many requests, done together: what waits is collected, done at once, and handed back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
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

    def do(self, item: Item, weight: int = 1) -> asyncio.Future[Result]:
        """Return the future of an item's result, which belongs to the running event loop.

        The future raises the exception of the work, or RequestError if too many wait. If it is cancelled
        before the work begins, the item is left out.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._waiting and self._weight + weight > self.limit:
            what = "too many requests are waiting; try again later"
            future.set_exception(RequestError(BUSY, what, code="busy"))
            return future
        self._waiting.append(_Waiting(item, weight, future))
        self._weight += weight
        self._start()
        return future

    def take_thread(self) -> bool:
        """Take the place of a thread if no item is worked on, and return whether it was taken.

        The caller then does its own work elsewhere, and calls `free_thread` after it.
        """
        if self._running or self._waiting:
            return False
        self._running += 1
        return True

    def free_thread(self) -> None:
        """Let a thread begin its next batch."""
        self._running -= 1
        self._start()

    def _start(self) -> None:
        while self._waiting and self._running < self.threads:
            batch = self._next()
            if batch:
                self._running += 1
                self.pool.submit(self._work_on, batch, asyncio.get_running_loop())

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

    def _work_on(self, batch: list[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        """Work on a batch in a thread, and have the event loop hand the results back."""
        started = loop.time()
        results = self._results([each.item for each in batch])
        with suppress(RuntimeError):  # the loop has ended, and no request waits
            loop.call_soon_threadsafe(self._finish, batch, results, loop.time() - started)

    def _results(self, items: list[Item]) -> list[Result | Exception]:
        try:
            return list(self.work(items))
        except Exception as error:
            return [error] if len(items) == 1 else [self._results([item])[0] for item in items]

    def _finish(self, batch: list[_Waiting], results: list[Result | Exception], seconds: float) -> None:
        """Hand the results back, and free the thread."""
        for each, result in zip(batch, results, strict=True):
            if each.future.done():
                continue  # its request has ended
            if isinstance(result, Exception):
                each.future.set_exception(result)
            else:
                each.future.set_result(result)
        if len(batch) > 1 and len(self._waiting) < len(batch):
            pause = min(PAUSE * seconds, LONGEST_PAUSE)
            asyncio.get_running_loop().call_later(pause, self.free_thread)
        else:
            self.free_thread()
