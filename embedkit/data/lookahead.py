"""Bytes that can be inspected before they are read, to decide from an input's beginning how to read it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

_PIECE = 1 << 16  # bytes per read during inspection


class Ahead(io.RawIOBase):
    """The bytes of `file`; inspected bytes are returned again when they are read.

    Inspection waits for as many bytes as it needs, however they arrive, and gets fewer only at the end of the
    input. It must come before reading: inspecting an input that has been read from raises ValueError.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._seen = bytearray()  # bytes inspected but not read yet
        self._begun = False

    def beginning(self, size: int) -> bytes:
        """Return the first `size` bytes, or fewer when the input has no more."""
        while len(self._seen) < size and self._look():
            pass
        return bytes(self._seen[:size])

    def first_match(self, table: Mapping[bytes, str]) -> str | None:
        """Return the table's value for the first bytes, or None.

        No more bytes are inspected than could belong to an entry.
        """
        for size in range(1, 1 + max(map(len, table))):
            head = self.beginning(size)
            if head in table:
                return table[head]
            if len(head) < size or not any(magic.startswith(head) for magic in table):
                break
        return None

    def lines(self) -> Iterator[bytes]:
        """Yield the lines from the first one on, with their line feeds, each as soon as it is complete."""
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
        """Return True: bytes can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether the underlying file is seekable."""
        return self._file.seekable()

    def readinto(self, buffer: Any) -> int:
        """Read at least one byte and at most as many as fit; return 0 only at the end."""
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
        """Move to another position of a seekable file; inspection then starts there."""
        if whence == io.SEEK_CUR:
            offset, whence = self.tell() + offset, io.SEEK_SET
        place = self._file.seek(offset, whence)
        self._seen.clear()
        return place

    def tell(self) -> int:
        """Return the position of the next byte to be read."""
        return self._file.tell() - len(self._seen)

    def _look(self) -> bool:
        if self._begun:
            raise ValueError("an input is looked at before it is read, not after")
        piece = self._more(_PIECE)
        self._seen += piece
        return bool(piece)

    def _more(self, size: int) -> bytes:
        """Read the available bytes, at most `size`; the result is empty only at the end."""
        read = getattr(self._file, "read1", self._file.read)  # `read` of a buffered file waits for all bytes
        return bytes(read(size) or b"")


class LineFeeds(Ahead):
    """The bytes of a file whose lines end in carriage returns, each replaced by a line feed."""

    def _more(self, size: int) -> bytes:
        return super()._more(size).replace(b"\r", b"\n")
