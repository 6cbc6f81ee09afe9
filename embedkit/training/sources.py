"""What a run trains on, as digests of its content: a resumed run must find what the interrupted one had."""

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
    """Data that a run reads: its name in an error, the files it came from, and a digest of its content."""

    what: str
    names: tuple[str, ...]
    digest: str


def source(what: str, names: Sequence[str], rows: Iterable[Any]) -> Source:
    """Return the source of `rows`, tuples of plain values, with a digest of them as they were read."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(tuple(row)).encode("utf-8", "backslashreplace") + b"\n")
    return Source(what, tuple(names), digest.hexdigest())


def to_json(sources: Iterable[Source]) -> dict[str, Any]:
    """Return digests by name, and the size and time of each file, which tell the one that was changed."""
    return {
        each.what: {"digest": each.digest, "files": {name: _state(name) for name in each.names}}
        for each in sources
    }


def write_sources(folder: Path, sources: Iterable[Source]) -> None:
    """Write what a run begins with into its folder, and a number that no other run has."""
    write_whole(folder / SOURCES, orjson.dumps({"run": uuid4().hex, "sources": to_json(sources)}))


def read_sources(folder: Path) -> dict[str, Any] | None:
    """Return what a run began with; None for a run that an earlier version began."""
    file = folder / SOURCES
    if not file.is_file():
        return None
    try:
        return dict(orjson.loads(file.read_bytes())["sources"])
    except (ValueError, TypeError, LookupError):
        raise FormatError("is not what was written", where=str(file), hint="--force starts again") from None


def require_unchanged(then: dict[str, Any] | None, sources: Iterable[Source], *, where: str) -> None:
    """Raise MismatchError, naming the file, where the content is not what it was `then`; None passes."""
    for each in sources if then is not None else ():
        before = then.get(each.what) if then is not None else None
        if not isinstance(before, dict) or before.get("digest") != each.digest:
            files = before.get("files", {}) if isinstance(before, dict) else {}
            changed = [name for name in each.names if files.get(name) != _state(name)]
            names = ", ".join(changed or each.names)
            raise MismatchError(
                f"{each.what}{f' of {names}' if names else ''} changed after the run had begun",
                where=where,
                hint="restore what it read then, or start again with --force",
            )


def _state(name: str) -> list[int] | None:
    """Return the size of a file and when it was last written, or None for what is not a file."""
    try:
        state = Path(name).stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]
