"""Checks that an id can be read back unchanged from a format of lines."""

from __future__ import annotations

from embedkit.errors import DataError


def require_line(id: str, *, format: str) -> str:
    """Return an id that fits on a line of its own or in a cell; raises DataError for any other id.

    Such an id is text without any Unicode line break, without tabs, and without blanks at its ends.
    """
    if not id or id.splitlines() != [id] or "\t" in id or id.strip("\ufeff") != id or id.strip() != id:
        raise _refused(id, format, "must be one line, without tabs and without blanks at its ends")
    return id


def require_word(id: str, *, format: str) -> str:
    """Return an id that is a single word, which fits between blanks; raises DataError for any other id."""
    if id.split() != [id] or id.strip("\ufeff") != id:
        raise _refused(id, format, "must be one word")
    return id


def _refused(id: str, format: str, rule: str) -> DataError:
    return DataError(f"id {id!r} cannot be written as {format}: it {rule}", hint="use `format=jsonl`")
