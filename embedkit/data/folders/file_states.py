"""The state of files as they were read: what shows later whether a file has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.formats import require_format
from embedkit.data.vectors.arrow_arrays import integers, numbers, strings
from embedkit.errors import FormatError

FORMAT, VERSION = "embedkit-files", 1
UNSURE = -1  # the time of a file that changed so recently that an equal time would prove nothing
BINARY, GENERATED, LARGE = "binary", "generated", "large"  # why a file was passed over
LARGEST = 32 << 20  # bytes of a file that is read
_BLOCK = 4096  # files that are held as Python values at a time


class FileState(NamedTuple):
    """A file as it was read; `path` begins with the name of its folder, as ids do."""

    path: str
    root: int  # number of its folder
    size: int  # bytes
    mtime_ns: int  # UNSURE if the content must be compared
    sha256: str  # of the content; empty if the file was not read
    passages: tuple[str, ...] = ()  # ids
    passed_over: str | None = None  # why the file has no passages: one of the words above, or an error


class Root(NamedTuple):
    """A folder whose files are followed: its name, with which paths begin, and where it is."""

    name: str
    path: str  # absolute

    def path_of(self, file: str) -> str:
        """Return the path of a file below the folder, beginning with the folder's name."""
        return f"{self.name.rstrip('/')}/{file}" if self.name else file


@dataclass
class FileStates:
    """The states of all files of some folders, in the order in which they were added."""

    settings: FolderSettings
    roots: tuple[Root, ...]
    _tables: list[Any] = field(default_factory=list)
    _waiting: list[FileState] = field(default_factory=list)

    def add(self, state: FileState) -> None:
        """Add the state of a file."""
        self._waiting.append(state)
        if len(self._waiting) >= _BLOCK:
            self._pack()

    def add_table(self, table: Any) -> None:
        """Add the states in a table that `table` returned, of files in the same folders."""
        self._tables.append(table.replace_schema_metadata(None))

    def at(self, roots: tuple[Root, ...]) -> FileStates:
        """Return the states with other places of the folders."""
        return FileStates(self.settings, roots, [self.table()])

    def __iter__(self) -> Iterator[FileState]:
        yield from states_of(self.table())

    def passed_over(self) -> Iterator[FileState]:
        """Yield the states of the files without passages for which there is a reason."""
        table = self.table()
        reasons = table.column("passed_over")
        if reasons.null_count < table.num_rows:
            columns = {name: table.column(name) for name in table.column_names}
            for row, reason in enumerate(reasons.to_pylist()):  # `filter` would import pyarrow.compute
                if reason is not None:
                    yield _state({name: column[row].as_py() for name, column in columns.items()})

    def __len__(self) -> int:
        return int(sum(table.num_rows for table in self._tables)) + len(self._waiting)

    def table(self) -> Any:
        """Return the states as one Arrow table, with the settings and folders in its metadata."""
        import pyarrow as pa

        self._pack()
        header = {"format": FORMAT, "version": VERSION, "settings": self.settings.to_json()}
        header["roots"] = [root._asdict() for root in self.roots]
        whole = pa.concat_tables(self._tables) if self._tables else _schema().empty_table()
        return whole.replace_schema_metadata({b"embedkit": orjson.dumps(header)})

    def _pack(self) -> None:
        if self._waiting:
            self._tables.append(_packed(self._waiting))
            self._waiting = []


def states_of(table: Any) -> Iterator[FileState]:
    """Yield the states in a table."""
    for start in range(0, table.num_rows, _BLOCK):
        for row in table.slice(start, _BLOCK).to_pylist():
            yield _state(row)


def _state(row: dict[str, Any]) -> FileState:
    return FileState(**{**row, "passages": tuple(row["passages"])})


def write_states(path: Path, states: FileStates) -> None:
    """Write states to a file, flushed to the disk."""
    import pyarrow as pa

    table = states.table()
    with open(path, "wb") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())


def read_states(path: Path) -> FileStates:
    """Read the states that `write_states` wrote; raises FormatError for another format or version."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate(full=True)
        header = orjson.loads(table.schema.metadata[b"embedkit"])
        require_format(header, FORMAT, (VERSION,), thing="a file of states", where=str(path))
        roots = tuple(Root(**root) for root in header["roots"])
        states = FileStates(FolderSettings.from_json(header["settings"]), roots)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FormatError(f"is damaged: {error}", where=str(path)) from None
    if table.schema.remove_metadata() != _schema():
        raise FormatError("has other columns than it should", where=str(path))
    states.add_table(table)
    return states


def _packed(states: Sequence[FileState]) -> Any:
    import pyarrow as pa

    ends = np.cumsum([0, *(len(state.passages) for state in states)], dtype=np.int32)
    passages = strings([id for state in states for id in state.passages])
    columns = [
        strings([state.path for state in states]),
        numbers(np.array([state.root for state in states], dtype=np.int32)),
        integers([state.size for state in states]),
        integers([state.mtime_ns for state in states]),
        strings([state.sha256 for state in states]),
        pa.ListArray.from_arrays(numbers(ends), passages),
        strings([state.passed_over for state in states]),
    ]
    return pa.Table.from_arrays(columns, schema=_schema())


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("path", pa.string()), ("root", pa.int32()), ("size", pa.int64()), ("mtime_ns", pa.int64()),
            ("sha256", pa.string()), ("passages", pa.list_(pa.string())), ("passed_over", pa.string()),
        ]
    )  # fmt: skip
