"""`embedkit index add`, `delete`, `compact` and `merge`: an index changes, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from embedkit.cli.closing import after_semicolon, passed_over, skipped_counts
from embedkit.cli.console import relay_warnings
from embedkit.cli.index.change_line import close_change, documents
from embedkit.cli.input_options import Inputs
from embedkit.cli.lexical_options import LexicalSpec, parse_lexical
from embedkit.cli.options import Common, IndexPath
from embedkit.cli.vector_input import open_as_vectors
from embedkit.data.text.display import counted, printable
from embedkit.errors import UsageError


def add(
    path: IndexPath,
    *,
    inputs: Inputs,
    common: Common,
) -> None:
    """Add documents, encoded as the index's own; one whose id is there already replaces it.

    Documents without ids get the numbers behind the largest one in use, and replace none; vectors keep the
    ids, or numbers of rows, that they come with.
    """
    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.indexing.edit import add, adds_codes
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    index = Index.open(path)

    def load() -> Any:
        """Load the encoder of the index."""
        return inputs.encoding.load_for(index.identity, index.map, where=str(path))

    with open_as_vectors(inputs, common, load=load) as vectors:
        source, batches, coded = vectors.source, vectors.batches, False
        if isinstance(source, VectorSet) and adds_codes(index, vectors.meta):
            batches, coded = vectors.progress.track(source.coded_batches()), True
        numbering = source.number_from if isinstance(source, RecordReader) else None
        done = add(path, vectors.meta, batches, coded=coded, number_from=numbering)
        first = source.first_number if isinstance(source, RecordReader) else None
        facts = {"added": done.added, "replaced": done.replaced, **skipped_counts(source)}
        words = f"{documents(done.added)} added"
        if first is not None:
            facts["first_number"] = first
            words += f" (numbered from {first} on)"
        words += f", {done.replaced:,} replaced one of the same id"
        words += after_semicolon(passed_over(source))
        close_change(common, path, done.after, facts, words)


def delete(
    path: IndexPath,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids to delete.")] = None,
    ids_file: Annotated[
        str | None, typer.Option("--ids", metavar="FILE", help="File of ids, one per line, or -.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Delete documents by their ids; ids that are not there are counted."""
    from embedkit.indexing.edit import delete

    relay_warnings(common.quiet)
    wanted = [*(ids or []), *(_read_ids(ids_file) if ids_file is not None else [])]
    if not wanted:
        raise UsageError("no ids were given", hint="name them, or give a file of ids with --ids")
    done = delete(path, wanted)
    words = f"{documents(done.deleted)} deleted"
    if done.missing:
        words += f", {len(done.missing):,} not there ({', '.join(map(printable, done.missing[:3]))}"
        words += ", ...)" if len(done.missing) > 3 else ")"
    close_change(common, path, done.after, {"deleted": done.deleted, "missing": len(done.missing)}, words)


def compact(path: IndexPath, lexical: LexicalSpec = None, *, common: Common) -> None:
    """Make one segment of all, without what is deleted; search gets faster, the folder smaller.

    An index of an earlier version can be searched by words afterwards.
    """
    from embedkit.indexing.edit import compact
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    settings = None if lexical is None else parse_lexical(lexical)
    before = Index.open(path)
    segments, gone = len(before.segments), before.stored_rows - before.rows
    del before  # what it reads would be kept
    index = compact(path, settings)
    facts = {"segments_before": segments, "segments": len(index.segments), "dropped": gone}
    words = f"{counted(segments, 'segment')} made {len(index.segments)}"
    close_change(common, path, index, facts, f"{words}, {documents(gone)} dropped")


def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="INDEX...", help="Indexes of the same encoder.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the new index.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Where an id occurs twice, keep the document of the later index."),
    ] = False,
    *,
    common: Common,
) -> None:
    """Join indexes of one encoder and kind into a new one; nothing is encoded again."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.indexing.manifest import MANIFEST
    from embedkit.indexing.merging import merge

    relay_warnings(common.quiet)
    refuse_existing(output, force=common.force, marker=MANIFEST)
    index = merge(paths, output, replaces=replace)
    facts = {"merged": len(paths), "replaced": index.stored_rows - index.rows}
    close_change(common, output, index, facts, f"{len(paths)} indexes merged")


def _read_ids(name: str) -> list[str]:
    from embedkit.data.inputs import open_text
    from embedkit.data.text.records import TextFormat

    with open_text([name], TextFormat("text")) as reader:
        return [record.text for record in reader]


COMMANDS: tuple[Callable[..., None], ...] = (add, delete, compact, merge)
EXAMPLES: dict[Callable[..., None], str] = {
    add: "Example: embedkit index add docs.idx more.jsonl",
    delete: "Example: embedkit index delete docs.idx --ids gone.txt",
    compact: "Example: embedkit index compact docs.idx",
    merge: "Example: embedkit index merge a.idx b.idx -o docs.idx",
}
