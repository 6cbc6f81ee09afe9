"""Folders as a source of records: their files are walked, read and divided into passages."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedkit.data.folders.file_formats import needs_package
from embedkit.data.folders.file_reading import Content, read_content, read_passages, require_text_name
from embedkit.data.folders.file_states import FileStates, Root
from embedkit.data.folders.folder_counts import FolderCounts
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.token_places import TokenPlaces
from embedkit.data.folders.walking import FoundFile, is_ours, walk
from embedkit.data.text.record import Record
from embedkit.errors import DataError, UsageError

_log = logging.getLogger("embedkit")


class Folders:
    """Some folders with one group of settings, the states of their files as they are read, and counts."""

    def __init__(self, names: Sequence[str], settings: FolderSettings) -> None:
        roots = tuple(map(root_of, names))
        _require_apart(roots)
        self.states, self.counts = FileStates(settings, roots), FolderCounts()

    def source(self, name: str) -> FolderSource:
        """Return the folder of a name as a source of records."""
        root = root_of(name)
        return FolderSource(root.name or ".", self, self.states.roots.index(root))


@dataclass
class FolderSource:
    """One folder, whose files are read once, in order."""

    name: str
    folders: Folders
    number: int
    size: int | None = None  # bytes, unknown before they are read

    def records(self, token_places: TokenPlaces) -> Iterator[Record]:
        """Yield the passages of all files; files that cannot be read are counted and named in warnings."""
        states, counts = self.folders.states, self.folders.counts
        for content in contents(self.number, states, counts):
            state, records = read_passages(content, states.settings, token_places)
            counts.add(state)
            yield from records
            states.add(state)
        if self.number == len(states.roots) - 1:
            warn_of(counts)

    def tell(self) -> int:
        """Return how many of the `size` bytes have been read, which is unknown."""
        return 0


def contents(number: int, states: FileStates, counts: FolderCounts) -> Iterator[Content]:
    """Yield the contents of the files below a folder; raises DataError when the folder is not there."""
    for path, found in found_files(number, states, counts):
        content = content_of(path, number, found, states.roots[number], counts)
        if content is not None:
            yield content


def found_files(number: int, states: FileStates, counts: FolderCounts) -> Iterator[tuple[str, FoundFile]]:
    """Yield the files below a folder with their paths, which begin with the folder's name."""
    root = states.roots[number]
    if not Path(root.path).is_dir():
        raise DataError("no such folder", where=root.path)
    for found in walk(Path(root.path), states.settings, counts):
        path = root.path_of(found.path)
        try:
            require_text_name(path)
        except DataError as error:
            counts.failed.append((path, error.what))
            continue
        if needs_package(path):
            counts.unsupported.append(path)
        else:
            yield path, found


def content_of(path: str, number: int, found: FoundFile, root: Root, counts: FolderCounts) -> Content | None:
    """Return the content of a file; None for one that vanished, and for one that cannot be read, which is
    counted.
    """
    try:
        return read_content(Path(root.path) / found.path, path, number, found)
    except FileNotFoundError:
        return None
    except OSError as error:
        counts.failed.append((path, (error.strerror or str(error)).lower()))
        return None


def warn_of(counts: FolderCounts) -> None:
    """Warn of files that could not be read."""
    for line in counts.warnings():
        _log.warning("%s", line)


def root_of(name: str) -> Root:
    """Return a folder by its name: paths begin with the name as it was given, without `.` and `..` inside."""
    import os

    clean = os.path.normpath(name).replace(os.sep, "/")
    return Root("" if clean == "." else clean, str(Path(name).resolve()))


def is_folder(name: str) -> bool:
    """Return whether a name is a folder of files; a vector set and `-` are not.

    Raises DataError for an index.
    """
    path = Path(name)
    if name == "-" or not path.is_dir() or is_ours(path / "meta.json"):
        return False
    if is_ours(path / "manifest.json"):
        raise DataError("is an index, expected text", where=name, hint="name the text that it was built of")
    return True


def _require_apart(roots: Sequence[Root]) -> None:
    """Raise UsageError when one folder is, or contains, another."""
    for place, root in enumerate(roots):
        for other in roots[place + 1 :]:
            one, two = Path(root.path), Path(other.path)
            if one.is_relative_to(two) or two.is_relative_to(one):
                what = f"has files in common with {root.name or '.'}"
                raise UsageError(what, where=other.name or ".", hint="name the outer one only")
