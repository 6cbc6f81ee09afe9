"""`embedkit index sync`: an index follows the folders that it was built from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.closing import close
from embedkit.cli.console import relay_warnings, say
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.index.change_line import documents
from embedkit.cli.input_options import FolderOptions
from embedkit.cli.options import Common, IndexPath
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.store import Index
    from embedkit.indexing.syncing import Synced

SYNC_EPILOG = "Example: embedkit index sync docs.idx"


@dataclass(frozen=True)
class SyncOptions:
    """Options that set when and where an index is synced."""

    panel: ClassVar = "Sync"

    watch: Annotated[bool, typer.Option("--watch", help="Stay, and sync whenever a file changes.")] = False
    moved: Annotated[
        bool, typer.Option("--moved", help="The folders of the index are now where FOLDER names them.")
    ] = False


def sync(
    path: IndexPath,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER", help="Folders that the index must follow; all are synced.", show_default=False
        ),
    ] = None,
    *,
    syncing: SyncOptions,
    folders: FolderOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Make an index equal to its folders again: only what changed is read and encoded.

    New and changed files are read, passages of vanished files are deleted, and renamed files keep their
    vectors. All of it is one commit; when nothing changed, nothing is written. The index keeps its folders
    and settings; options that differ from them are refused.
    """
    from embedkit.indexing.store import Index
    from embedkit.indexing.syncing import sync
    from embedkit.indexing.watching import require_watching

    relay_warnings(common.quiet)
    if syncing.watch:
        require_watching()
    load = _loading(Index.open(path), encoding, str(path))
    _close(common, path, sync(path, load, folders=names or (), settings=folders.given(), moved=syncing.moved))
    if syncing.watch:
        try:
            _watch(common, path, load)
        except KeyboardInterrupt:  # the normal end; a sync that is interrupted leaves the index as it was
            if not common.quiet:
                say(f"stopped watching; {readable_name(path)} is as the last sync left it")


def _watch(common: Common, path: Path, load: Callable[[], Encoder]) -> None:
    """Sync after each change of the folders, until the user interrupts."""
    from embedkit.indexing.watching import changes_of

    for _ in changes_of(path):
        try:
            _sync_again(common, path, load)
        except EmbedkitError as error:  # another writer, or a folder that is away for a while
            say(str(error))


def _sync_again(common: Common, path: Path, load: Callable[[], Encoder]) -> None:
    """Sync, and print a line if anything has changed."""
    from embedkit.indexing.syncing import sync

    done = sync(path, load)
    if done.new or done.changed or done.vanished:
        _close(common, path, done)


def _loading(index: Index, encoding: EncoderOptions, where: str) -> Callable[[], Encoder]:
    """Return a function that loads the encoder of an index, once."""
    identity, map = index.identity, index.map
    return cache(lambda: encoding.load_for(identity, map, where=where))


def _close(common: Common, path: Path, done: Synced) -> None:
    facts = {
        "output": readable_name(path),
        "new": done.new,
        "changed": done.changed,
        "vanished": done.vanished,
        "added": done.added,
        "deleted": done.deleted,
        "encoded": done.encoded,
        "documents": done.after.rows,
        "folders": done.counts.to_json(),
    }
    words = "nothing changed"
    if done.new or done.changed or done.vanished:
        files = f"{done.new:,} new, {done.changed:,} changed and {done.vanished:,} vanished files"
        added = f"{counted(done.added, 'passage')} added ({done.encoded:,} encoded)"
        words = f"{files}; {added}, {done.deleted:,} deleted"
    close(common, facts, f"{words} -> {path}, {documents(done.after.rows)}; {done.counts}")
