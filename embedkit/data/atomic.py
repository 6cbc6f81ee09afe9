"""Files and folders that appear whole or not at all: written beside, flushed, renamed."""

import ctypes
import errno
import glob
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from embedkit.errors import ExistsError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_PATIENCE = (0.05, 0.2, 1.0)  # seconds between tries to delete what others still write to


def refuse_existing(path: Path, *, force: bool, marker: str | None = None) -> None:
    """Raise ExistsError, or OSError, for an output that could not be put at `path` in the end: one that is
    there and may not be overwritten, a link, or a name in a folder that is not there or takes no files.

    An output with a `marker` is a folder, and replaces no folder but one that holds the file of that name,
    which says that embedkit wrote it, even with `force`. An output without is a file, and replaces no folder.
    """
    require_name(path)
    if not path.parent.is_dir():
        raise ExistsError(
            "the folder it would be written to does not exist",
            where=str(path),
            hint=f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ExistsError("is a device or a pipe, not a file", where=str(path))
    if path.is_symlink():
        hint = f"name what it leads to: {shlex.quote(os.readlink(path))}"
        raise ExistsError("is a link, and an output replaces no link", where=str(path), hint=hint)
    if path.exists() and not force:
        raise ExistsError("already exists", where=str(path), hint="--force overwrites it")
    if path.is_dir() and any(path.iterdir()) and not (marker and (path / marker).is_file()):
        raise ExistsError(
            "is a folder that holds something else", where=str(path), hint="choose another name"
        )
    if path.is_dir() and marker is None:
        what = "is a folder, and the output is a file"
        raise ExistsError(what, where=str(path), hint="choose another name")
    _refuse_closed(path)


def _refuse_closed(path: Path) -> None:
    """Raise OSError, naming `path`, where no file can be written beside it."""
    beside = _beside(path)
    try:
        beside.touch()
        beside.unlink()
    except OSError as error:
        error.filename = str(path)
        raise


def require_name(path: Path) -> None:
    """Raise ExistsError for a path such as `.` that says where, but not under which name."""
    if path.name in ("", ".."):
        raise ExistsError("is a place, not a name to write to", where=str(path))


@contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends well, and leaves no trace when it does not."""
    if path.is_dir():
        raise ExistsError("is a folder and would have to become a file", where=str(path))
    beside = _beside(path)
    try:
        with named_when_full(path), open(beside, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise
    flush_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that takes its place when the block ends well; on failure nothing is
    left.
    """
    beside = _beside(path)
    beside.mkdir()
    try:
        with named_when_full(path):
            yield beside
            put_in_place(beside, path)
    except BaseException:
        discard(beside)
        raise


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` for what is needed on the way to it; nothing is left, and what a killed
    process left is cleared away by the next one.
    """
    beside = _beside(path.with_name(f"{path.name}.scratch"))
    beside.mkdir()
    try:
        yield beside
    finally:
        discard(beside)


@contextmanager
def named_when_full(path: Path) -> Iterator[None]:
    """Say what could not be written, where a disk is full: the system does not."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = str(path)
        raise


def _beside(path: Path) -> Path:
    """Return a free name beside `path`, and clear away what killed processes have left under such names."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name[len(path.name) + 2 : -len(".tmp")]
        if pid.isdecimal() and (int(pid) == os.getpid() or not _alive(int(pid))):
            discard(left)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no number of a process: left alone
        return True
    return True


def hold(folder: Path) -> int:
    """Lock a folder against other writers until the returned descriptor is closed, or the process ends.

    Raises ExistsError when another process holds it.
    """
    if os.name != "posix":
        return os.open(os.devnull, os.O_RDONLY)  # other systems have no such lock
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ExistsError("another run is writing here", where=str(folder)) from None
    return descriptor


def put_in_place(ready: Path, path: Path) -> None:
    """Rename the finished file or folder `ready` to `path`, exchanging it with whatever is there."""
    flush_folder(ready if ready.is_dir() else ready.parent)
    if path.is_dir() or (path.exists() and ready.is_dir()):
        _exchange(ready, path)
        discard(ready)
    else:
        os.replace(ready, path)
    flush_folder(path.parent)


def discard(path: Path) -> None:
    """Delete a file or a folder, if it is there; one in which a process that is being ended still writes
    too.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for seconds in _PATIENCE:
        try:
            shutil.rmtree(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            if not path.exists():
                return
            time.sleep(seconds)
    shutil.rmtree(path)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it survives a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(ready: Path, path: Path) -> None:
    """Swap two names in one step where the system can (Linux), in two renames where it cannot."""
    with suppress(AttributeError, OSError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        if renameat2(_AT_FDCWD, os.fsencode(ready), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE) == 0:
            return
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    os.replace(path, old)
    os.replace(ready, path)
    os.replace(old, ready)
