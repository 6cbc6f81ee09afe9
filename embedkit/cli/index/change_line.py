"""Print the closing line of commands that change an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cli.console import say
from embedkit.cli.options import Common
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.indexing.store import Index


def close_change(common: Common, path: Path, index: Index, facts: dict[str, Any], words: str) -> None:
    """Close a command that changed an index: a line on standard error, or JSON on standard output."""
    if common.json:
        import orjson

        print(orjson.dumps({"output": readable_name(path), **facts, "documents": index.rows}).decode())
    elif not common.quiet:
        say(f"{words} -> {path}, {documents(index.rows)}")


def documents(count: int) -> str:
    """Return a number of documents in words."""
    return f"{counted(count, 'document')}"
