"""JSON lines that a long run writes, and that a killed run continues to the same bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from embedkit.data.atomic import discard, hold, named_when_full, put_in_place, write_whole
from embedkit.data.vectors.vector_set_writing import partial_folder
from embedkit.errors import ExistsError, FormatError

_LINES, _STATE = "lines.jsonl", "state.json"


class ResumableLines:
    """Lines of JSON for `path`, which appears when all are written; until then they lie in `PATH.partial`.

    `done` is the number of inputs whose lines an earlier run has written: the caller skips as many. Raises
    ExistsError if an unfinished run exists and neither `resume` nor `force` is given, or while another
    process writes, and FormatError if the unfinished run had other `settings`.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], *, resume: bool = False, force: bool = False
    ) -> None:
        self._path, self._folder = path, partial_folder(path)
        self._settings = orjson.loads(orjson.dumps(dict(settings)))
        if self._folder.exists() and not resume:
            if not force:
                raise ExistsError(
                    "an unfinished run is there",
                    where=str(self._folder),
                    hint="continue it with `resume=True`, or start again with `force=True`",
                )
            os.close(hold(self._folder))  # raises while another run writes
            discard(self._folder)
        self._folder.mkdir(exist_ok=True)
        self._lock = hold(self._folder)
        self.done, written = self._begun()
        self._lines: IO[bytes] = open(self._folder / _LINES, "ab")  # noqa: SIM115 (closed at exit)
        self._lines.truncate(written)

    def __enter__(self) -> ResumableLines:
        return self

    def __exit__(self, *raised: object) -> None:
        self._lines.close()
        os.close(self._lock)

    def append(self, lines: Sequence[Mapping[str, Any]], *, inputs: int) -> None:
        """Write the lines of the next `inputs`; after a kill they are there as a whole or not at all."""
        with named_when_full(self._path):
            self._lines.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
            self._lines.flush()
            os.fsync(self._lines.fileno())
            self.done += inputs
            state = {"settings": self._settings, "done": self.done, "bytes": self._lines.tell()}
            write_whole(self._folder / _STATE, orjson.dumps(state))

    def finish(self) -> None:
        """Rename the lines to `path`, and delete the folder of the run."""
        self._lines.close()
        put_in_place(self._folder / _LINES, self._path)
        discard(self._folder)

    def _begun(self) -> tuple[int, int]:
        """Return the inputs and bytes of an earlier run; zero without one."""
        file = self._folder / _STATE
        if not file.is_file():
            return 0, 0
        try:
            state = orjson.loads(file.read_bytes())
            settings, done, written = state["settings"], int(state["done"]), int(state["bytes"])
            whole = (self._folder / _LINES).stat().st_size >= written
        except (ValueError, LookupError, TypeError, OSError):
            whole, settings, done, written = False, {}, 0, 0
        if not whole:
            raise FormatError("is damaged", where=str(self._folder), hint="start again with `force=True`")
        if settings != self._settings:
            names = {*settings, *self._settings}
            changed = sorted(key for key in names if settings.get(key) != self._settings.get(key))
            what = f"the unfinished run had other settings: {', '.join(changed)}"
            raise FormatError(what, where=str(self._folder), hint="start again with `force=True`")
        return done, written
