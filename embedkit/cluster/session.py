"""A session on a cluster: tasks, whose results return in order, and crews of actors."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from embedkit.errors import ClusterError, EmbedkitError

if TYPE_CHECKING:
    from types import ModuleType

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 5  # retries of a task whose worker was lost
AHEAD = 3  # tasks in flight per worker


class WorkerResources(NamedTuple):
    """The resources of one worker."""

    cpus: int
    gpus: int = 0


ONE = WorkerResources(1)


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray
        self.folder = os.getcwd()  # workers change to it, so that relative paths agree

    def share(self, largest: int, *, gpus: bool = False) -> WorkerResources:
        """Return the resources of a worker: one GPU if there are any and `gpus` allows it, otherwise at most
        `largest` processors, and no more than the smallest machine with processors has.
        """
        if gpus and any(_has(node, "GPU") for node in self._machines()):
            return WorkerResources(1, 1)
        processors = (_has(node, "CPU") for node in self._machines())
        return WorkerResources(min([largest, *filter(None, processors)]))

    def workers(self, share: WorkerResources) -> int:
        """Return how many workers with these resources the machines have room for, at least one."""
        room = [
            min(_has(node, "CPU") // share.cpus, _has(node, "GPU") if share.gpus else 1 << 30)
            for node in self._machines()
        ]
        return max(1, sum(room))

    def map(
        self, work: Callable[..., Result], items: Iterable[Item], *common: Any, share: WorkerResources = ONE
    ) -> Generator[Result]:
        """Yield `work(item, *common)` for each item, in order; the task of a lost worker is run again.

        Raises the errors of `work`, and ClusterError when workers are lost repeatedly. Tasks in flight are
        cancelled when the generator is closed early.
        """
        task, known = self._task(_at_home, share), self._ray.put((self.folder, work, common))
        yield from self._in_order((task.remote(known, item) for item in items), share)

    def map_pieces(
        self,
        work: Callable[..., Any],
        join: Callable[..., Result],
        items: Iterable[Item],
        pieces: int,
        *common: Any,
        share: WorkerResources = ONE,
    ) -> Generator[Result]:
        """Yield `join(item, found, *common)` for each item, as `map` does.

        `found` lists `work((item, piece), *common)` for each of `pieces` pieces, which may run on different
        workers.
        """
        task, known = self._task(_at_home, share), self._ray.put((self.folder, work, common))
        last, joined = (
            self._task(_joined_at_home, WorkerResources(0)),
            self._ray.put((self.folder, join, common)),
        )
        started = (
            last.remote(joined, item, *(task.remote(known, (item, piece)) for piece in range(pieces)))
            for item in items
        )
        yield from self._in_order(started, share)

    def result(self, reference: Any) -> Any:
        """Wait for a task's result and return it; raises the task's error."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = error.cause
            while isinstance(cause, errors.RayTaskError):  # the error of a piece, wrapped by the join
                cause = cause.cause
            if isinstance(cause, EmbedkitError | OSError):
                raise cause from None
            raise
        except errors.RayError as error:
            raise _lost(error) from None

    def crew(self, kind: type, settings: Iterable[tuple[Any, ...]]) -> Crew:
        """Start one actor of a class per tuple of settings; Ray restarts an actor that is lost.

        Actors reserve no processors, so that the actors of several crews never wait for each other.
        """
        options = {"num_cpus": 0, "max_restarts": RETRIES, "max_task_retries": RETRIES}
        remote = self._ray.remote(kind).options(**options, scheduling_strategy="SPREAD")
        return Crew(self, [remote.remote(self.folder, *each) for each in settings])

    def put(self, value: Any) -> Any:
        """Store a value in the cluster once, for many tasks that read it."""
        return self._ray.put(value)

    def _task(self, work: Callable[..., Any], share: WorkerResources) -> Any:
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": RETRIES, "max_calls": 0}
        return self._ray.remote(**options, scheduling_strategy="SPREAD")(work)

    def _in_order(self, started: Iterable[Any], share: WorkerResources) -> Generator[Any]:
        """Yield the results of tasks in order, with some tasks in flight ahead; cancels those left at the
        end.
        """
        under_way: deque[Any] = deque()
        try:
            for reference in started:
                under_way.append(reference)
                if len(under_way) >= AHEAD * self.workers(share):
                    yield self.result(under_way.popleft())
            while under_way:
                yield self.result(under_way.popleft())
        finally:
            self._stop(under_way)

    def _machines(self) -> list[dict[str, Any]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _stop(self, references: Iterable[Any]) -> None:
        left = list(references)
        for reference in left:
            self._ray.cancel(reference, force=True)
        if left:
            self._ray.wait(left, num_returns=len(left), timeout=10)  # seconds


class Crew:
    """Actors of one class, each with its own settings, which are called together."""

    def __init__(self, cluster: Cluster, actors: list[Any]) -> None:
        self._cluster, self._actors = cluster, actors

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every actor, and return the results in order; raises the errors of `map`."""
        kept = [self._cluster.put(argument) for argument in arguments]
        asked = [getattr(actor, method).remote(*kept) for actor in self._actors]
        return [self._cluster.result(reference) for reference in asked]


def _at_home(known: tuple[str, Callable[..., Any], tuple[Any, ...]], item: Any) -> Any:
    """Run a worker's task in the folder of the calling process."""
    folder, work, common = known
    go_home(folder)
    return work(item, *common)


def _joined_at_home(known: tuple[str, Callable[..., Any], tuple[Any, ...]], item: Any, *found: Any) -> Any:
    folder, join, common = known
    go_home(folder)
    return join(item, found, *common)


def go_home(folder: str) -> None:
    """Change to the folder of the calling process; raises ClusterError if this machine does not have it."""
    try:
        os.chdir(folder)
    except OSError:
        raise not_shared(Path(folder)) from None


def not_shared(folder: Path) -> ClusterError:
    """Return the error for a folder that does not exist on this machine."""
    hint = "work in a folder that all machines of the cluster share"
    return ClusterError(f"is not on machine {socket.gethostname()}", where=str(folder), hint=hint)


def _has(resources: dict[str, Any], what: str) -> int:
    return int(resources.get(what, 0))


def _lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"a worker was lost {RETRIES + 1} times at the same work: {first_line(error)}",
        hint="check that its machine has enough memory",
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class without one."""
    return next(iter(str(error).splitlines()), type(error).__name__)
