"""`embedkit search`: questions in, hits out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.answering import answer, columns_of
from embedkit.cli.command import TakesText, command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.fusion_options import WordOptions
from embedkit.cli.hit_options import Narrowing, stored_vector
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import ClusterOptions, Common, named
from embedkit.cli.output import Answer, write_hits
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.text.records import Record, TextFormat
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.store import Index


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
    words: WordOptions,
    narrowing: Narrowing,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Find the documents that answer one query or many: by vectors, by words, or by both."""
    from embedkit.cli.cluster import spread_indexes
    from embedkit.data.text.records import Record
    from embedkit.indexing.query import hits
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    if query is not None and inputs:
        raise UsageError("a question and -i were both given", hint="give one of them")
    if more_like is not None and (query is not None or inputs):
        raise UsageError("a question and --more-like were both given", hint="give one of them")
    if more_like is not None and words.given:
        raise UsageError("compares vectors", where="--more-like", hint="drop --hybrid and --lexical")
    if query is not None and not query.strip():
        raise UsageError("the question is empty", where="QUERY")
    alone = {"QUERY": query, "--more-like": more_like, "--exact": narrowing.exact}
    clustering.refuse(*named(alone), hint="many questions, with -i FILE, are spread")
    words.refuse_others(vectors=narrowing.of_vectors() + ["-m and -t"] * (encoding != EncoderOptions()))
    opened = Index.open(index)
    fusion, opened = words.chosen(opened), narrowing.tuned(opened, k)
    chosen = format or ("jsonl" if common.json or not sys.stdout.isatty() else "table")
    if more_like is not None:
        row, vector = stored_vector(opened, more_like)
        found = hits(opened, vector, narrowing.query(opened, k, but=row), columns_of(chosen))
        write_hits([Answer(more_like, more_like, found[0])], chosen, named=False)
        return
    spreading = spread_indexes(clustering.cluster, [opened])
    with spreading as (opened,), ThreadPoolExecutor(2) as pool:  # the index is opened while the encoder is
        beside = [pool.submit(opened.warm)] if clustering.cluster is None else []
        encoder = None if words.lexical else _encoder(opened, encoding, pool, beside)
        asked = narrowing.query(opened, k, fusion=fusion, explain=words.explain)
        if query is not None:
            questions = iter([[Record("1", query, {})]])
        else:
            questions = _questions(input_names(inputs), reading.format())
        read = words.reader(opened, typed=query is not None)
        analysis = opened.lexical.settings if words.given else None
        answers = answer(opened, encoder, questions, asked, chosen, read)
        write_hits(answers, chosen, named=query is None, analysis=analysis)
        for work in beside:
            work.result()


def _encoder(
    index: Index, encoding: EncoderOptions, pool: ThreadPoolExecutor, beside: list[Future[None]]
) -> Encoder:
    """Return the encoder of the queries; the files that it reads are opened in the pool."""
    from embedkit.embedding.loading import prepare

    if index.identity is not None:
        beside.append(pool.submit(prepare, encoding.settings_like(index.identity)))
    encoder = encoding.load_for(index.identity, index.map, where=str(index.path))
    index.require_encoder(encoder)
    return encoder


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
