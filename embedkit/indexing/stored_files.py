"""Index files as the manifest records them: by name, size and checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from embedkit.embedding.fingerprint import file_sha256
from embedkit.errors import FormatError

END = 1 << 16  # bytes at each end of a file, which are checked whenever it is opened


class StoredFile(NamedTuple):
    """A file that was written, as recorded in the manifest."""

    name: str
    bytes: int
    sha256: str
    ends: str | None = (
        None  # checksum of its ends; None if it is not larger than both, or an early version wrote it
    )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for the manifest."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def require_size(self, folder: Path) -> None:
        """Raise FormatError unless the file has the size that was written; FAISS crashes on some truncated
        files.
        """
        path = folder / self.name
        size = path.stat().st_size if path.is_file() else None
        if size != self.bytes:
            found = "is missing" if size is None else f"has {size} bytes, expected {self.bytes}"
            raise FormatError(found, where=str(path), hint="the folder is damaged")

    def require_ends(self, folder: Path) -> None:
        """Raise FormatError unless size and both ends are as written: this checks a file's headers at a cost
        that does not grow with the file.
        """
        self.require_size(folder)
        if self.bytes <= 2 * END:
            self.require_whole(folder)
        elif self.ends is not None and ends_sha256(folder / self.name) != self.ends:
            raise _altered(folder / self.name)

    def require_whole(self, folder: Path) -> None:
        """Raise FormatError unless size and checksum are as written."""
        self.require_size(folder)
        if file_sha256(folder / self.name) != self.sha256:
            raise _altered(folder / self.name)


def stored(path: Path) -> StoredFile:
    """Return the manifest's record of a file that has just been written."""
    size = path.stat().st_size
    return StoredFile(path.name, size, file_sha256(path), ends_sha256(path) if size > 2 * END else None)


def ends_sha256(path: Path) -> str:
    """Return the SHA-256 of the first and the last 64 KiB of a file that is longer than both."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(END))
        file.seek(path.stat().st_size - END)
        digest.update(file.read())
    return digest.hexdigest()


def _altered(path: Path) -> FormatError:
    return FormatError("its checksum differs from the one that was written", where=str(path))
