"""Files and folders that are written whole or not at all: next to their target, flushed, then renamed."""

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
_PATIENCE = (0.05, 0.2, 1.0)  # seconds between attempts to delete a folder that others still write to


def refuse_existing(path: Path, *, force: bool, marker: str | None = None) -> None:
    """Raise ExistsError or OSError when an output could not replace `path`.

    It refuses an existing path without `force`, a link, a device or pipe, and a name in a folder that is
    missing or not writable. An output with a `marker` is a folder; even with `force` it replaces only an
    empty folder or one that contains a file of that name, which shows that embedkit wrote it. An output
    without a marker is a file and replaces no folder.
    """
    require_name(path)
    if path.parent.is_file():
        raise ExistsError("its parent is a file, not a folder", where=str(path), hint="choose another name")
    if not path.parent.is_dir():
        raise ExistsError(
            "its parent folder does not exist",
            where=str(path),
            hint=f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ExistsError("is a device or a pipe, not a file", where=str(path))
    if path.is_symlink():
        hint = f"write to its target: {shlex.quote(os.readlink(path))}"
        raise ExistsError("is a link, and an output never replaces a link", where=str(path), hint=hint)
    if path.exists() and not force:
        raise ExistsError("already exists", where=str(path), hint="overwrite it with `force=True`")
    if path.is_dir() and any(path.iterdir()) and not (marker and (path / marker).is_file()):
        raise ExistsError(
            "is a folder that contains other files", where=str(path), hint="choose another name"
        )
    if path.is_dir() and marker is None:
        what = "is a folder, but the output is a file"
        raise ExistsError(what, where=str(path), hint="choose another name")
    _refuse_closed(path)


def _refuse_closed(path: Path) -> None:
    """Raise OSError, naming `path`, when no file can be written next to it."""
    beside = _beside(path)
    try:
        beside.touch()
        beside.unlink()
    except OSError as error:
        error.filename = str(path)
        raise


def require_name(path: Path) -> None:
    """Raise ExistsError for a path such as `.`, which is a directory reference, and for `-`, which means
    standard input wherever inputs are named.
    """
    if path.name in ("", ".."):
        raise ExistsError("is a directory reference, not a file name", where=str(path))
    if str(path) == "-":
        raise ExistsError("would be taken for standard input", where="-", hint="choose another name")


@contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block succeeds and is deleted when it fails."""
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
    """Yield a folder next to `path` that replaces it when the block succeeds; on failure nothing is left."""
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
    """Yield a folder next to `path` for intermediate files, and delete it afterwards; the next call deletes
    one that a killed process left.
    """
    beside = _beside(path.with_name(f"{path.name}.scratch"))
    beside.mkdir()
    try:
        yield beside
    finally:
        discard(beside)


@contextmanager
def named_when_full(path: Path) -> Iterator[None]:
    """Add the file's name to the OSError of a full disk, which the system leaves out."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = str(path)
        raise


def _beside(path: Path) -> Path:
    """Return a free name next to `path`, and delete files that killed processes left under such names."""
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
    except (OSError, OverflowError):  # another user's process, or not a process id
        return True
    return True


def hold(folder: Path) -> int:
    """Lock a folder against other writers until the returned descriptor is closed or the process ends.

    Raises ExistsError when another process holds the lock.
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
    """Rename the finished file or folder `ready` to `path`, and delete what was there."""
    flush_folder(ready if ready.is_dir() else ready.parent)
    if path.is_dir() or (path.exists() and ready.is_dir()):
        _exchange(ready, path)
        discard(ready)
    else:
        os.replace(ready, path)
    flush_folder(path.parent)


def discard(path: Path) -> None:
    """Delete a file or folder if it exists; retry while a process that is ending still writes to the
    folder.
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
    """Swap two names in one step where the system can (Linux), otherwise in three renames."""
    with suppress(AttributeError, OSError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        if renameat2(_AT_FDCWD, os.fsencode(ready), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE) == 0:
            return
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    os.replace(path, old)
    os.replace(ready, path)
    os.replace(old, ready)
