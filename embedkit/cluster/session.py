"""A cluster connection: joined or started, returns results in order, and is always closed."""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from embedkit.errors import ClusterError, EmbedkitError, MissingPackageError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 5  # retries of a task whose worker was lost
AHEAD = 3  # tasks in flight per worker
ANSWER = 10  # seconds to wait for a connection
STORE_BYTES = 100_000_000  # object store of a cluster started here; its objects are small


class WorkerResources(NamedTuple):
    """The resources of one worker."""

    cpus: int
    gpus: int = 0


ONE = WorkerResources(1)


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, ray: Any) -> None:
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


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to the cluster at `HOST:PORT`, and disconnect at the end of the block.

    `auto` selects the cluster that RAY_ADDRESS names or one that runs on this machine; otherwise it starts
    one on this machine's processors, which ends with the block. Raises MissingPackageError without Ray, and
    ClusterError when no cluster answers.
    """
    ray = _ray()
    named = running() if address == "auto" else address
    if named is not None:
        _require_answer(named)
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        _join(ray, named, quiet)
        yield Cluster(ray)
    finally:
        ray.shutdown()


def require_ray() -> None:
    """Raise MissingPackageError without Ray, before anything is read."""
    _ray()


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # otherwise Ray prints errors to standard output
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # otherwise Ray warns
    try:
        import ray
    except ImportError:
        raise MissingPackageError("ray", needed_for="`cluster`", extra="ray") from None
    return ray


def _require_answer(address: str) -> None:
    """Raise ClusterError unless a process listens at the address, where Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16) or "/" in host:
        raise UsageError(f"must be auto or HOST:PORT, got {address!r}", where="`cluster`")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise _none_there(address, error.strerror or str(error)) from None


def running() -> str | None:
    """Return the address of the cluster that RAY_ADDRESS names, or that `ray start` left on this machine and
    that still answers.

    Ray's own `auto` is not used: it loses objects on a machine with two nodes.
    """
    if (named := os.environ.get("RAY_ADDRESS", "auto")) != "auto":
        return named
    try:
        left = (
            (Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster").read_text().strip()
        )
        _require_answer(left)
    except (OSError, EmbedkitError):
        return None
    return left


def _join(ray: Any, address: str | None, quiet: dict[str, Any]) -> None:
    if address is None:
        _start(ray, quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _none_there(address, _first_line(error)) from None


def _none_there(address: str, why: str) -> ClusterError:
    what = f"no cluster answers: {why.lower()}"
    return ClusterError(what, where=address, hint="start one with ray start --head")


def _start(ray: Any, quiet: dict[str, Any]) -> None:
    """Start a cluster on this machine; raises ClusterError on any failure, for which Ray has no class."""
    try:
        ray.init(address="local", include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    except Exception as error:
        what = f"no cluster can be started here: {_first_line(error)}"
        raise ClusterError(what, hint="try again when the machine is less busy, or omit `cluster`") from None


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
        f"a worker was lost {RETRIES + 1} times at the same work: {_first_line(error)}",
        hint="check that its machine has enough memory",
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
