"""Ids in formats of lines: which of them come back as they were."""

from __future__ import annotations

from embedkit.errors import DataError


def require_line(id: str, *, format: str) -> str:
    """Return an id that can stand in a line of its own or in a cell: text without a line break of any kind
    that Unicode knows, without a tab, and without blanks at its ends. Raises DataError for another one.
    """
    if not id or id.splitlines() != [id] or "\t" in id or id.strip("\ufeff") != id or id.strip() != id:
        raise _refused(id, format, "must be one line, without tabs and without blanks at its ends")
    return id


def require_word(id: str, *, format: str) -> str:
    """Return an id that can stand between blanks: a single word. Raises DataError for another one."""
    if id.split() != [id] or id.strip("\ufeff") != id:
        raise _refused(id, format, "must be one word")
    return id


def _refused(id: str, format: str, rule: str) -> DataError:
    return DataError(f"id {id!r} cannot stand in {format}", hint=f"it {rule}; use --format jsonl")
