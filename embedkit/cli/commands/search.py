"""`embedkit search`: questions in, hits out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.command import TakesText, command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.hit_options import Narrowing, stored_vector
from embedkit.cli.options import ClusterOptions, Common, EncoderOptions, TextOptions, named
from embedkit.cli.output import Answer, write_hits
from embedkit.cli.searching import _columns, answer
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.text.records import Record, TextFormat


HitFormat = Literal["table", "jsonl", "tsv", "trec", "ids"]


def search(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="An index folder.", autocompletion=complete_indexes)
    ],
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="One query; always text, never a file name.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="FILE", help="File of queries: one per line, or JSONL with ids."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Hits per query.", min=1)] = 10,
    more_like: Annotated[
        str | None,
        typer.Option(
            "--more-like", metavar="ID", help="Find the documents nearest to this document of the index."
        ),
    ] = None,
    format: Annotated[
        HitFormat | None,
        typer.Option("--format", help="[default: table on a terminal, else jsonl]", show_default=False),
    ] = None,
    *,
    narrowing: Narrowing,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Find the documents nearest to one query or to many."""
    from embedkit.cli.cluster import spread_indexes
    from embedkit.data.text.records import Record
    from embedkit.embedding.loading import prepare
    from embedkit.indexing.query import hits
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    if query is not None and inputs:
        raise UsageError("a question and -i were both given", hint="give one of them")
    if more_like is not None and (query is not None or inputs):
        raise UsageError("a question and --more-like were both given", hint="give one of them")
    if query is not None and not query.strip():
        raise UsageError("the question is empty", where="QUERY")
    alone = {"QUERY": query, "--more-like": more_like, "--exact": narrowing.exact}
    clustering.refuse(*named(alone), hint="many questions, with -i FILE, are spread")
    opened = narrowing.tuned(Index.open(index), k)
    chosen = format or ("jsonl" if common.json or not sys.stdout.isatty() else "table")
    if more_like is not None:
        row, vector = stored_vector(opened, more_like)
        found = hits(opened, vector, narrowing.query(opened, k, but=row), _columns(chosen))
        write_hits([Answer(more_like, more_like, found[0])], chosen, named=False)
        return
    spreading = spread_indexes(clustering.cluster, [opened])
    with spreading as (opened,), ThreadPoolExecutor(2) as pool:  # the index is opened while the encoder is
        beside = [pool.submit(opened.warm)] if clustering.cluster is None else []
        if opened.identity is not None:
            beside.append(pool.submit(prepare, encoding.settings_like(opened.identity)))
        encoder = encoding.load_for(opened.identity, opened.map_file, where=str(index))
        opened.require_encoder(encoder)
        asked = narrowing.query(opened, k)
        if query is not None:
            questions = iter([[Record("1", query, {})]])
        else:
            questions = _questions(input_names(inputs), reading.format())
        write_hits(answer(opened, encoder, questions, asked, chosen), chosen, named=query is None)
        for work in beside:
            work.result()


def _questions(names: list[str], format: TextFormat) -> Iterator[list[Record]]:
    from embedkit.data.inputs import open_text
    from embedkit.embedding.batching import windows

    seen: set[str] = set()
    with open_text(names, format) as reader:
        for window in windows(reader, first=64):
            for record in window:
                if record.id in seen:
                    what, hint = f"query id {record.id!r} occurs twice", "give every query an id of its own"
                    raise DataError(what, where=reader.name, hint=hint)
                if not record.text.strip():
                    raise DataError(f"the query of id {record.id!r} is empty", where=reader.name)
                seen.add(record.id)
            yield window
        if not reader.read:
            raise DataError("there is no question in the input", where=reader.name)


app = command_app(
    search, cls=TakesText, epilog='Example: embedkit search docs.idx "copy a directory tree" -k 5'
)
