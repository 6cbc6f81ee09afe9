"""Walking of a folder: its regular files, sorted by name, and counts of all that was passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.ignoring import GITIGNORE, IgnoreRules, rules_above, spec_of
from embedkit.data.folders.regular_files import read_start

_MARKERS = ("manifest.json", "meta.json")  # of an index and of a vector set
_OURS = b'"embedkit-'  # the beginning of a format's name, in the first bytes of a marker


class FoundFile(NamedTuple):
    """A regular file: its path below the folder, with slashes, and the size and time that show a change."""

    path: str
    size: int  # bytes
    mtime_ns: int


@dataclass
class WalkCounts:
    """The numbers of entries that a walk passed over, and the entries that it could not read."""

    hidden: int = 0  # names that begin with a dot; a hidden folder counts once
    ignored: int = 0  # by `.gitignore` or by the settings; also indexes and vector sets
    links: int = 0  # symbolic links, which are never followed: within the folder their target is read anyway
    special: int = 0  # pipes, sockets and devices
    failed: list[tuple[str, str]] = field(default_factory=list)  # a path, and the reason


def walk(root: Path, settings: FolderSettings, counts: WalkCounts) -> Iterator[FoundFile]:
    """Yield the files of a folder that are to be read, depth first, sorted by name; adds to `counts`.

    Hidden files, ignored files and links are passed over, and so are folders that embedkit wrote. Entries
    that vanish meanwhile are not there; others that cannot be read are in `counts.failed`.
    """
    chosen = _Chosen(settings)
    root = root.resolve()
    waiting = [("", rules_above(root))]  # folders, each with the rules that apply around it
    while waiting:
        path, rules = waiting.pop()
        folder = os.path.join(root, path)  # a `Path` per folder would take as long as the rest of the walk
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            counts.failed.append((path.rstrip("/"), _reason(error)))
            continue
        if path and _is_ours(folder, listed):
            counts.ignored += 1
            continue
        if any(entry.name == GITIGNORE for entry in listed):
            rules = rules.inside(path, Path(folder))
        folders = []
        for entry in listed:
            kind = _kind(entry, path, rules, chosen, counts)
            if kind == "folder":
                folders.append((f"{path}{entry.name}/", rules))
            elif kind == "file" and (found := _found(entry, path, counts)) is not None:
                yield found
        waiting += reversed(folders)


class _Chosen:
    """The choice of files by the settings."""

    def __init__(self, settings: FolderSettings) -> None:
        self._include = spec_of(settings.include) if settings.include else None
        self._exclude = spec_of(settings.exclude) if settings.exclude else None

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Return whether a file, or all of a folder, is left out."""
        if self._exclude is not None and self._exclude.check_file(path + "/" * folder).include:
            return True
        return self._include is not None and not folder and not self._include.check_file(path).include


def _kind(
    entry: os.DirEntry[str], path: str, rules: IgnoreRules, chosen: _Chosen, counts: WalkCounts
) -> str | None:
    """Return whether an entry is a "file" or a "folder" to read; otherwise count it and return None."""
    if entry.name.startswith("."):
        counts.hidden += 1
        return None
    folder = entry.is_dir(follow_symlinks=False)
    whole = path + entry.name
    if rules.ignores(whole, folder=folder) or chosen.leaves_out(whole, folder=folder):
        counts.ignored += 1
        return None
    if entry.is_symlink():
        counts.links += 1
        return None
    if folder:
        return "folder"
    if not entry.is_file(follow_symlinks=False):
        counts.special += 1
        return None
    return "file"


def _found(entry: os.DirEntry[str], path: str, counts: WalkCounts) -> FoundFile | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        counts.failed.append((path + entry.name, _reason(error)))
        return None
    return FoundFile(path + entry.name, status.st_size, status.st_mtime_ns)


def _is_ours(folder: str, listed: list[os.DirEntry[str]]) -> bool:
    """Return whether a folder is an index or a vector set."""
    return any(entry.name in _MARKERS and is_ours(Path(folder, entry.name)) for entry in listed)


def is_ours(marker: Path) -> bool:
    """Return whether a file names a format of embedkit in its first bytes."""
    try:
        return _OURS in read_start(marker, 64)
    except OSError:
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
