"""Locks of the writer and the readers of an index; the end of a process releases them, however it ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import orjson

from embedkit.data.atomic import discard, named_when_full
from embedkit.errors import ExistsError

LOCK = "writer.lock"

_log = logging.getLogger(__name__)


class Owner(NamedTuple):
    """The process that writes an index."""

    pid: int
    host: str
    since: str  # UTC, to the second

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Lock the index folder `path` against other writers; raises ExistsError naming the current writer.

    The lock is the kernel's, on a file that names its owner. If the file names an owner but is not locked,
    that process was killed: the lock is taken over, with a warning.
    """
    folder = path.resolve() if path.is_symlink() else path  # a writer may replace the link
    file = folder / LOCK
    descriptor = _acquire(file)
    try:
        if (dead := _owner(descriptor)) is not None:
            _log.warning("%s: %s was killed while it wrote; its unfinished files are removed", path, dead)
        with named_when_full(file):
            _sign(descriptor)
        yield
    finally:
        if _is_at(descriptor, file):
            file.unlink()
        os.close(descriptor)


class Lease:
    """A lease keeps a segment's folder on disk while a reader uses it; it ends with this object.

    Raises FileNotFoundError when the folder has been deleted, BlockingIOError when it is about to be.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        if os.name != "posix":
            return  # other systems do not delete open files
        self._descriptor = os.open(folder, os.O_RDONLY)
        _flock(self._descriptor, exclusive=False)
        if not _is_at(self._descriptor, folder):
            raise FileNotFoundError(folder)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def discard_unread(folder: Path) -> bool:
    """Delete a folder unless a reader holds a lease on it; return whether it is deleted."""
    if os.name != "posix":
        with suppress(PermissionError):
            discard(folder)
        return not folder.exists()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _flock(descriptor, exclusive=True)
        discard(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _acquire(file: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(descriptor, exclusive=True)
        except BlockingIOError:
            owner = _owner(descriptor) or "another process"
            os.close(descriptor)
            hint = "one writer at a time"
            raise ExistsError(f"is being written by {owner}", where=str(file.parent), hint=hint) from None
        if _is_at(descriptor, file):
            return descriptor
        os.close(descriptor)  # its owner removed it in between


def _flock(descriptor: int, *, exclusive: bool) -> None:
    """Lock an open file without waiting; raises BlockingIOError if another process has locked it."""
    if os.name != "posix":
        return
    import fcntl

    fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether `path` is still the path of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _owner(descriptor: int) -> Owner | None:
    try:
        return Owner(**orjson.loads(os.pread(descriptor, 4096, 0)))
    except (orjson.JSONDecodeError, TypeError):  # empty, or torn by a kill
        return None


def _sign(descriptor: int) -> None:
    import socket

    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, orjson.dumps(Owner(os.getpid(), socket.gethostname(), now)._asdict()), 0)
