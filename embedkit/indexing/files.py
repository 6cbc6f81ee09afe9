"""Files of an index as its manifest knows them: by name, size and checksum."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from embedkit.embedding.fingerprint import file_sha256
from embedkit.errors import FormatError


class StoredFile(NamedTuple):
    """One file that was written."""

    name: str
    bytes: int
    sha256: str

    def require_size(self, folder: Path) -> None:
        """Raise FormatError unless the file has the size that was written; FAISS itself crashes on some that
        were cut short.
        """
        path = folder / self.name
        size = path.stat().st_size if path.is_file() else None
        if size != self.bytes:
            found = "is missing" if size is None else f"has {size} bytes, {self.bytes} were written"
            raise FormatError(found, where=str(path), hint="the folder is damaged")

    def require_whole(self, folder: Path) -> None:
        """Raise FormatError unless size and checksum are what was written."""
        self.require_size(folder)
        if file_sha256(folder / self.name) != self.sha256:
            raise FormatError("has another checksum than was written", where=str(folder / self.name))


def stored(path: Path) -> StoredFile:
    """Return what a manifest says of a file that has just been written."""
    return StoredFile(path.name, path.stat().st_size, file_sha256(path))
