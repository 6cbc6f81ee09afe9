"""The files that an index follows: their states are a file of the index folder, which the manifest names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from embedkit.data.folders.file_states import UNSURE, FileState, FileStates, read_states, write_states
from embedkit.indexing.stored_files import StoredFile, stored

STATES = "files-"  # how the names of files of states begin; the generation follows

_log = logging.getLogger("embedkit")


def store_states(folder: Path, generation: int, states: FileStates) -> StoredFile:
    """Write states next to those of earlier generations, flushed to the disk, for the manifest to name."""
    file = folder / f"{STATES}{generation:05d}.arrow"
    write_states(file, states)
    return stored(file)


def load_states(folder: Path, file: StoredFile) -> FileStates:
    """Read the states that a manifest names; raises FormatError when they differ from what was written."""
    file.require_whole(folder)
    return read_states(folder / file.name)


def joined_states(parts: Sequence[FileStates | None], where: Path) -> FileStates | None:
    """Return the states of indexes that are merged; a file of two indexes is read anew by the next sync.

    None if no index follows files, and also, with a warning, if they were divided by different settings or
    are in different folders of one name.
    """
    some = [part for part in parts if part is not None]
    if not some:
        return None
    roots = tuple(dict.fromkeys(root for part in some for root in part.roots))
    if any(part.settings != some[0].settings for part in some) or len({root.name for root in roots}) < len(
        roots
    ):
        what = "the indexes have different settings for folders, or different folders of one name"
        _log.warning("%s: %s, so index sync cannot follow their files", where, what)
        return None
    files: dict[str, FileState] = {}
    for part in some:
        for state in part:
            state = state._replace(root=roots.index(part.roots[state.root]))
            if (other := files.get(state.path)) is not None:
                ids = tuple(dict.fromkeys((*other.passages, *state.passages)))
                state = state._replace(passages=ids, sha256="", mtime_ns=UNSURE)
            files[state.path] = state
    joined = FileStates(some[0].settings, roots)
    for state in files.values():
        joined.add(state)
    return joined
