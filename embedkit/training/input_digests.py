"""Digests of a run's data: a resumed run must read the same content as the interrupted one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from embedkit.data.atomic import write_whole
from embedkit.errors import FormatError, MismatchError

SOURCES = "sources.json"


class Source(NamedTuple):
    """Data that a run reads: its name in errors, its files, and a digest of its content."""

    what: str
    names: tuple[str, ...]
    digest: str


def source(what: str, names: Sequence[str], rows: Iterable[Any]) -> Source:
    """Return the source of `rows`, tuples of plain values, with a digest of them as they were read."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(tuple(row)).encode("utf-8", "backslashreplace") + b"\n")
    return Source(what, tuple(names), digest.hexdigest())


def to_json(sources: Iterable[Source]) -> dict[str, object]:
    """Return digests by name, and the size and time of each file, which identify a changed file."""
    return {
        each.what: {"digest": each.digest, "files": {name: _state(name) for name in each.names}}
        for each in sources
    }


def write_sources(folder: Path, sources: Iterable[Source]) -> None:
    """Write the sources of a run into its folder, with a unique number."""
    write_whole(folder / SOURCES, orjson.dumps({"run": uuid4().hex, "sources": to_json(sources)}))


def read_sources(folder: Path) -> dict[str, object] | None:
    """Return the sources of a run; None for a run that an earlier version began."""
    file = folder / SOURCES
    if not file.is_file():
        return None
    try:
        return dict(orjson.loads(file.read_bytes())["sources"])
    except (ValueError, TypeError, LookupError):
        raise FormatError(
            "has changed since it was written", where=str(file), hint="start again with `force=True`"
        ) from None


def untouched(then: dict[str, Any] | None) -> bool:
    """Return whether every file has the size and the time that it had `then`."""
    files = [each.get("files", {}) for each in (then or {}).values()]
    return all(_state(name) == state for each in files for name, state in each.items())


def require_unchanged(then: dict[str, Any] | None, sources: Iterable[Source], *, where: str) -> None:
    """Raise MismatchError, naming the file, when the content differs from `then`; None is accepted."""
    for each in sources if then is not None else ():
        before = then.get(each.what) if then is not None else None
        if not isinstance(before, dict) or before.get("digest") != each.digest:
            files = before.get("files", {}) if isinstance(before, dict) else {}
            changed = [name for name in each.names if files.get(name) != _state(name)]
            names = ", ".join(changed or each.names)
            raise MismatchError(
                f"{each.what}{f' of {names}' if names else ''} changed after the run had begun",
                where=where,
                hint="restore it, or start again with `force=True`",
            )


def _state(name: str) -> list[int] | None:
    """Return the size and modification time of a file, or None if it is not a file."""
    try:
        state = Path(name).stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]
