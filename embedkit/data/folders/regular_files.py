"""Opening of regular files in folders that others write: never a link, and never a pipe that would wait."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")
)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file; raises OSError for anything else, at once."""
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"is not a regular file: {path}")
    return cast(BinaryIO, open(descriptor, "rb", buffering=0))


def read_start(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a regular file, or all of a shorter one."""
    with open_regular(path) as file:
        parts: list[bytes] = []
        while size and (part := file.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
