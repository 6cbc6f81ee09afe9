"""Bytes that can be looked at before they are read, for what is decided from the beginning of an input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

_PIECE = 1 << 16  # bytes that are asked for at a time while looking ahead


class Ahead(io.RawIOBase):
    """The bytes of `file`; what was looked at is given again when it is read.

    A look waits for as many bytes as it needs, however they arrive, and ends early only where the input
    ends. It comes before reading: a look at an input that has been read from raises ValueError.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._seen = bytearray()  # looked at, and not read yet
        self._begun = False

    def beginning(self, size: int) -> bytes:
        """Return the first `size` bytes, fewer only where the input has no more."""
        while len(self._seen) < size and self._look():
            pass
        return bytes(self._seen[:size])

    def lines(self) -> Iterator[bytes]:
        """Yield the lines from the first one on, with their line feeds, each once it is whole."""
        start = searched = 0
        while True:
            end = self._seen.find(b"\n", searched) + 1
            if end:
                yield bytes(self._seen[start:end])
                start = searched = end
                continue
            searched = len(self._seen)
            if not self._look():
                break
        if start < searched:
            yield bytes(self._seen[start:])

    def readable(self) -> bool:
        """Say that bytes can be read."""
        return True

    def seekable(self) -> bool:
        """Say whether the file behind it can be read from any place."""
        return self._file.seekable()

    def readinto(self, buffer: Any) -> int:
        """Read at least one byte, and at most what fits; 0 only at the end."""
        self._begun = True
        if not self._seen:
            piece = self._more(len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)
        count = min(len(buffer), len(self._seen))
        buffer[:count] = self._seen[:count]
        del self._seen[:count]
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place of a seekable file, which is where looks begin from then on."""
        if whence == io.SEEK_CUR:
            offset, whence = self.tell() + offset, io.SEEK_SET
        place = self._file.seek(offset, whence)
        self._seen.clear()
        return place

    def tell(self) -> int:
        """Return the place of the next byte that is read."""
        return self._file.tell() - len(self._seen)

    def _look(self) -> bool:
        if self._begun:
            raise ValueError("an input is looked at before it is read, not after")
        piece = self._more(_PIECE)
        self._seen += piece
        return bool(piece)

    def _more(self, size: int) -> bytes:
        """Read what is there, at most `size` bytes; nothing only at the end."""
        read = getattr(self._file, "read1", self._file.read)  # `read` of a buffered file waits for all of it
        return bytes(read(size) or b"")


class LineFeeds(Ahead):
    """The bytes of a file whose lines end in carriage returns, with line feeds in their places."""

    def _more(self, size: int) -> bytes:
        return super()._more(size).replace(b"\r", b"\n")
