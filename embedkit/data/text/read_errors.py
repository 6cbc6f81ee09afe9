"""Errors of reading an input, each as one DataError that names the input."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from embedkit.errors import DataError, EmbedkitError

_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Convert an error while `name` is read into one DataError that names it; wrap reads only."""
    try:
        yield
    except EmbedkitError:
        raise
    except FileNotFoundError:
        raise DataError("no such file", where=name) from None
    except IsADirectoryError:
        raise DataError("is a folder, not a file", where=name) from None
    except PermissionError:
        raise DataError("permission denied", where=name) from None
    except _BROKEN as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise DataError(f"cannot be read: {error}", where=name) from error
