"""Fields of a document beside values of our own, in one JSON object."""

from __future__ import annotations


def free_names(fields: dict[str, object], taken: set[str]) -> dict[str, object]:
    """Return the fields that are not None; a field whose name is in `taken` gets `_` appended."""
    free = {}
    for name, value in fields.items():
        new = name
        while new in taken or (new != name and new in fields):
            new += "_"
        if value is not None:
            free[new] = value
    return free
