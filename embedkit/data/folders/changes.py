"""Changes in folders since the states of their files were written: by size and time, then by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.folders.file_reading import read_passages
from embedkit.data.folders.file_states import UNSURE, FileState, FileStates, states_of
from embedkit.data.folders.folder_counts import FolderCounts
from embedkit.data.folders.folder_source import content_of, found_files
from embedkit.data.folders.token_places import TokenPlaces
from embedkit.data.folders.walking import FoundFile
from embedkit.data.text.record import Record
from embedkit.data.vectors.arrow_arrays import booleans


class Candidate(NamedTuple):
    """A file that is new, or whose size or time differs: its content decides whether it has changed."""

    path: str
    root: int
    found: FoundFile
    before: FileState | None


@dataclass
class Changes:
    """The differences between folders and the states of their files.

    `records` reads the candidates, which completes `after`, `gone` and the counts.
    """

    after: FileStates  # at first, the files that have not changed
    candidates: list[Candidate]
    vanished: list[FileState]
    counts: FolderCounts = field(default_factory=FolderCounts)
    gone: list[str] = field(default_factory=list)  # ids of the passages of changed and vanished files
    new: int = 0
    changed: int = 0
    unreadable: int = 0  # files that could be read before
    touched: int = 0  # files whose time has changed, and their content has not

    @property
    def empty(self) -> bool:
        """Return whether no file is to be read, and none has vanished."""
        return not self.candidates and not self.vanished

    @property
    def found(self) -> bool:
        """Return whether the states differ, once `records` has read the candidates."""
        return bool(self.new or self.changed or self.vanished or self.unreadable or self.touched)

    def old_passages(self) -> Iterator[str]:
        """Yield the ids of passages that may be replaced."""
        for state in (*self.vanished, *(one.before for one in self.candidates if one.before)):
            yield from state.passages

    def records(self, token_places: TokenPlaces) -> Iterator[Record]:
        """Read the candidates, and yield the passages of those whose content has changed."""
        self.gone += [id for state in self.vanished for id in state.passages]
        for path, number, found, before in self.candidates:
            content = content_of(path, number, found, self.after.roots[number], self.counts)
            if content is None:
                self.gone += before.passages if before else ()
                self.unreadable += before is not None
                continue
            same = before is not None and before.sha256 == content.state.sha256 != ""
            if before is not None and same:
                now = content.state
                state = before._replace(size=now.size, mtime_ns=now.mtime_ns)
                self.touched += state != before
            else:
                state, records = read_passages(content, self.after.settings, token_places)
                self.gone += before.passages if before else ()
                self.new, self.changed = self.new + (before is None), self.changed + (before is not None)
                yield from records
            self.counts.add(state, before=same)
            self.after.add(state)


def find_changes(before: FileStates) -> Changes:
    """Walk the folders of some states and compare; raises DataError when a folder is not there.

    A file whose size and time are the same has not changed, unless its time was unsure. Nothing is read.
    """
    table = before.table()
    rows = {path: row for row, path in enumerate(table.column("path").to_pylist())}
    sizes, times = (_numbers(table.column(name)) for name in ("size", "mtime_ns"))
    seen, same = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    candidates, counts = [], FolderCounts()
    for number in range(len(before.roots)):
        for path, found in found_files(number, before, counts):
            row = rows.get(path)
            if row is not None:
                seen[row] = True
                same[row] = sizes[row] == found.size and times[row] == found.mtime_ns != UNSURE
            if row is None or not same[row]:
                candidates.append(Candidate(path, number, found, None if row is None else _state(table, row)))
    after = FileStates(before.settings, before.roots)
    after.add_table(table if same.all() else table.filter(booleans(same)))
    over = list(after.passed_over())
    for state in over:
        counts.add(state, before=True)
    counts.files += len(after) - len(over)
    vanished = [_state(table, row) for row in np.flatnonzero(~seen).tolist()]
    return Changes(after, candidates, vanished, counts)


def _numbers(column: Any) -> NDArray[np.int64]:
    """Return a column of whole numbers as an array; by DLPack, because `to_numpy` imports pandas."""
    return np.concatenate([np.empty(0, dtype=np.int64), *map(np.from_dlpack, column.chunks)])


def _state(table: Any, row: int) -> FileState:
    (state,) = states_of(table.slice(row, 1))
    return state
