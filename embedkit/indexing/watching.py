"""Watching of the folders of an index for changes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embedkit.errors import MissingPackageError
from embedkit.indexing.store import Index

_QUIET = 500  # milliseconds without a change that end a group of changes
_LONGEST = 60_000  # milliseconds without any change after which it yields all the same


def require_watching() -> None:
    """Raise MissingPackageError without the package watchfiles."""
    if find_spec("watchfiles") is None:
        raise MissingPackageError("watchfiles", needed_for="`watch`", extra="files")


def changes_of(path: str | Path) -> Iterator[None]:
    """Yield after each group of changes below the folders of an index, and once a minute for the changes that
    the system does not report.

    Hidden files and the index itself do not count. Raises MissingPackageError without the package watchfiles.
    """
    require_watching()
    from watchfiles import watch

    states = Index.open(path).states
    roots = [Path(root.path) for root in states.roots] if states is not None else []
    index = Path(path).resolve()

    def counts(change: Any, name: str) -> bool:
        """Return whether the change of a file concerns the index."""
        file = Path(name)
        if file.is_relative_to(index):
            return False
        inside = next((file.relative_to(root) for root in roots if file.is_relative_to(root)), file)
        return not any(part.startswith(".") and part != ".gitignore" for part in inside.parts)

    timing: dict[str, Any] = {"step": _QUIET // 5, "debounce": 10_000, "rust_timeout": _LONGEST}
    for _ in watch(*roots, watch_filter=counts, yield_on_timeout=True, **timing):
        yield
