"""Names of files and URLs; a name of a file may be any bytes."""

from __future__ import annotations

from pathlib import Path


def readable_name(name: str | Path) -> str:
    """Return a name with the bytes that are not UTF-8 escaped, as `\\udcff`, for messages and for JSON."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def is_url(name: str) -> bool:
    """Return whether a name is a URL for fsspec rather than a path."""
    return "://" in name


def path_of(name: str) -> Path:
    """Return the path in a name or URL in lower case, without a query, for its extensions."""
    return Path((name.partition("?")[0] if is_url(name) else name).lower())


def with_readable_names(value: object) -> object:
    """Return facts of lists, dicts and plain values with every text in them as `readable_name` returns it."""
    if isinstance(value, str):
        return readable_name(value)
    if isinstance(value, dict):
        return {with_readable_names(key): with_readable_names(item) for key, item in value.items()}
    return [with_readable_names(item) for item in value] if isinstance(value, list | tuple) else value
