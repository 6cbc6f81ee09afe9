"""Names of files, which may be any bytes, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def readable_name(name: str | Path) -> str:
    """Return a name with the bytes that are not UTF-8 escaped, as `\\udcff`, for messages and for JSON."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def with_readable_names(value: Any) -> Any:
    """Return facts of lists, dicts and plain values with every text in them as `readable_name` returns it."""
    if isinstance(value, str):
        return readable_name(value)
    if isinstance(value, dict):
        return {with_readable_names(key): with_readable_names(item) for key, item in value.items()}
    return [with_readable_names(item) for item in value] if isinstance(value, list | tuple) else value
