"""The queue: every item has its own result, batches grow with the load, and a fault stays its own."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedkit.serving.batch_queue import BatchQueue
from embedkit.serving.http_errors import RequestError


class Work:
    """Squares numbers; waits for the event in its first batch, and fails for a negative number."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()

    def __call__(self, items):
        if not self.batches:
            self.batches.append(list(items))
            self.go.wait(20)
        else:
            self.batches.append(list(items))
        if any(item < 0 for item in items):
            raise ValueError(f"{min(items)} is negative")
        return [item * item for item in items]


def run(scenario, **settings):
    work = Work()
    with ThreadPoolExecutor(2) as pool:
        queue = BatchQueue(work, pool, **{"most": 4, "limit": 100, **settings})

        async def main():
            return await scenario(queue, work)

        return asyncio.run(main()), work.batches


def test_what_waits_is_done_together_and_in_order():
    async def scenario(queue, work):
        tasks = [queue.do(item) for item in range(10)]
        await asyncio.sleep(0.05)
        work.go.set()
        return await asyncio.gather(*tasks)

    results, batches = run(scenario)
    assert results == [item * item for item in range(10)]
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


def test_a_batch_has_a_weight_and_a_heavy_item_is_alone():
    async def scenario(queue, work):
        weights = [1, 1, 2, 2, 9, 1]
        tasks = [queue.do(item, weight) for item, weight in enumerate(weights)]
        await asyncio.sleep(0.05)
        work.go.set()
        return await asyncio.gather(*tasks)

    assert run(scenario)[1] == [[0], [1, 2], [3], [4], [5]]


def test_an_item_fails_by_its_own_fault_only():
    async def scenario(queue, work):
        tasks = [queue.do(item) for item in (0, 1, -2, 3)]
        await asyncio.sleep(0.05)
        work.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results, _ = run(scenario)
    assert results[:2] + results[3:] == [0, 1, 9]
    assert str(results[2]) == "-2 is negative"


def test_a_request_that_has_ended_is_not_worked_on():
    async def scenario(queue, work):
        tasks = [queue.do(item) for item in range(4)]
        await asyncio.sleep(0.05)
        tasks[2].cancel()
        await asyncio.sleep(0.05)
        work.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results, batches = run(scenario)
    assert batches == [[0], [1, 3]]
    assert isinstance(results[2], asyncio.CancelledError)


def test_too_many_are_refused_at_once():
    async def scenario(queue, work):
        tasks = [queue.do(item) for item in range(6)]
        await asyncio.sleep(0.05)
        with pytest.raises(RequestError, match="too many requests are waiting"):
            await queue.do(6)
        work.go.set()
        return await asyncio.gather(*tasks)

    assert run(scenario, limit=5)[0] == [0, 1, 4, 9, 16, 25]


def test_a_thread_is_taken_only_from_an_idle_queue_and_items_wait_until_it_is_free():
    async def scenario(queue, work):
        assert queue.take_thread()
        assert not queue.take_thread()
        tasks = [queue.do(item) for item in (2, 3)]
        work.go.set()
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
        queue.free_thread()
        results = await asyncio.gather(*tasks)
        assert queue.take_thread()
        return results

    assert run(scenario) == ([4, 9], [[2, 3]])
