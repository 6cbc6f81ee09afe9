"""Reading of one file of a folder: its content, its state, which shows a later change, and its passages."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from embedkit.data.folders.decoding import BinaryFileError
from embedkit.data.folders.file_formats import is_archive, is_generated, is_picture, read_document
from embedkit.data.folders.file_states import BINARY, GENERATED, LARGE, LARGEST, UNSURE, FileState
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.passages import passages
from embedkit.data.folders.regular_files import open_regular
from embedkit.data.folders.token_places import TokenPlaces
from embedkit.data.folders.walking import FoundFile
from embedkit.data.text.record import Record
from embedkit.errors import DataError

_BEGINNING = 8192  # bytes in which NUL shows a binary file, as for Git
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # byte order marks of text that has NUL bytes
_RECENT = 2_000_000_000  # nanoseconds within which a file may change again and keep its time


class Content(NamedTuple):
    """The content of a file, or the reason for which it was not read, and its state as it was read."""

    state: FileState
    data: bytes


class ReadFile(NamedTuple):
    """A file that was read: its state, and its passages as records."""

    state: FileState
    records: list[Record]


def read_content(place: Path, path: str, root: int, found: FoundFile) -> Content:
    """Return the content of a file; raises OSError when it cannot be read.

    The state gets no time, so that contents are compared, if the file changed while it was read or shortly
    before.
    """
    state = FileState(path, root, found.size, found.mtime_ns, "")
    with open_regular(place) as file:
        before = os.fstat(file.fileno())
        state = state._replace(size=before.st_size, mtime_ns=before.st_mtime_ns)
        if before.st_size > LARGEST:
            return Content(state._replace(passed_over=LARGE), b"")
        if is_picture(path):
            return Content(state._replace(passed_over=BINARY), b"")
        data = file.read(_BEGINNING)
        if b"\0" in data and not data.startswith(_WIDE) and not is_archive(path):
            return Content(state._replace(passed_over=BINARY), b"")
        parts = [data]
        while part := file.read(1 << 20):
            parts.append(part)
        after = os.fstat(file.fileno())
    data = b"".join(parts)
    same = (before.st_size, before.st_mtime_ns) == (len(data), after.st_mtime_ns)
    settled = same and time.time_ns() - after.st_mtime_ns > _RECENT
    mtime_ns = after.st_mtime_ns if settled else UNSURE
    digest = hashlib.sha256(data).hexdigest()
    state = state._replace(size=len(data), mtime_ns=mtime_ns, sha256=digest)
    if is_generated(path, data):
        return Content(state._replace(passed_over=GENERATED), b"")
    return Content(state, data)


def read_passages(content: Content, settings: FolderSettings, token_places: TokenPlaces) -> ReadFile:
    """Return the passages of a file with its state; a file that its format cannot be read from has none."""
    state = content.state
    if state.passed_over is not None:
        return ReadFile(state, [])
    try:
        document = read_document(state.path, content.data)
        records = list(passages(document, state.path, settings, token_places))
    except BinaryFileError:
        return ReadFile(state._replace(passed_over=BINARY), [])
    except DataError as error:
        return ReadFile(state._replace(passed_over=str(error)), [])
    return ReadFile(state._replace(passages=tuple(record.id for record in records)), records)


def require_text_name(path: str) -> None:
    """Raise DataError for a path that is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError("its name is not UTF-8") from None
