"""`embedkit search`: questions in, hits out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.hits import Answer, write_hits
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.cli.spread import TakesText, command_app
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.records import Record, TextFormat
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.store import Index

_HITS_AT_A_TIME = 100_000  # held in memory, documents and all

HitFormat = Literal["table", "jsonl", "tsv", "trec", "ids"]


def search(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="An index folder.")],
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="One question; always text.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("-i", "--input", metavar="FILE", help="Questions: one a line, or JSONL with ids."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Hits a question.", min=1)] = 10,
    format: Annotated[
        HitFormat | None,
        typer.Option("--format", help="[default: table on a terminal, else jsonl]", show_default=False),
    ] = None,
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Find the documents nearest to a question, or to each of many."""
    from embedkit.data.records import Record
    from embedkit.embedding.encoder import prepare
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    if query is not None and inputs:
        raise UsageError("a question and -i were both given", hint="give one of them")
    if query is not None and not query.strip():
        raise UsageError("the question is empty", where="QUERY")
    if query is not None and any(
        "\ud800" <= letter <= "\udfff" for letter in query
    ):  # bytes that are no text
        raise UsageError("the question is not UTF-8", where="QUERY")
    opened = Index.open(index)
    with ThreadPoolExecutor(2) as pool:  # the index is opened while the encoder is
        beside = [pool.submit(opened.warm)]
        if opened.identity is not None:
            beside.append(pool.submit(prepare, encoding.settings_like(opened.identity)))
        encoder = encoding.load_for(opened.identity, opened.map_file, where=str(index))
        opened.require_encoder(encoder)
        chosen = format or ("jsonl" if common.json or not sys.stdout.isatty() else "table")
        if query is not None:
            questions = iter([[Record("1", query, {})]])
        else:
            questions = _questions(input_names(inputs), reading.format())
        write_hits(answer(opened, encoder, questions, k, chosen), chosen, named=query is None)
        for work in beside:
            work.result()


def answer(
    index: Index, encoder: Encoder, questions: Iterator[list[Record]], k: int, format: str
) -> Iterator[Answer]:
    """Search window by window; only the ids are read of the documents where the format shows no more."""
    columns = ["id"] if format in ("trec", "ids") else None
    step = max(1, _HITS_AT_A_TIME // min(k, index.rows))
    for window in questions:
        vectors = encoder.encode([record.text for record in window], "query")
        for start in range(0, len(window), step):
            found = index.hits(vectors[start : start + step], k, columns)
            for record, hits in zip(window[start : start + step], found, strict=True):
                yield Answer(record.id, record.text, hits)


def _questions(names: list[str], format: TextFormat) -> Iterator[list[Record]]:
    from embedkit.data.inputs import open_text
    from embedkit.embedding.batching import windows

    with open_text(names, format) as reader:
        yield from windows(reader, first=64)
        if not reader.read:
            raise DataError("there is no question in the input", where=reader.name)


app = command_app(
    search, cls=TakesText, epilog='Example: embedkit search docs.idx "copy a directory tree" -k 5'
)
