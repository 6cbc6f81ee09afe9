"""`embedkit search`: questions in, hits out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.command import TakesText, command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.hit_options import Narrowing, stored_vector
from embedkit.cli.input_options import TextEncoding, TextOptions
from embedkit.cli.options import Common
from embedkit.cli.printed_hits import Answer, write_hits
from embedkit.cli.query_answers import answer, columns_of
from embedkit.cli.question_options import HitFormat, QuestionOptions, SearchSettings
from embedkit.errors import DataError

if TYPE_CHECKING:
    from embedkit.data.text.record import Record
    from embedkit.data.text.records import TextFormat
    from embedkit.embedding.encoder import Encoder
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.store import Index


def search(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="An index folder.", autocompletion=complete_indexes)
    ],
    *,
    questions: QuestionOptions,
    settings: SearchSettings,
    texts: TextEncoding,
    common: Common,
) -> None:
    """Find the documents that answer one query or many: by vectors, by words, or by both."""
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    questions.check(words=settings.words.given)
    settings.check(questions, texts.encoding)
    opened = Index.open(index)
    fusion, opened = settings.words.chosen(opened), settings.narrowing.tuned(opened, questions.k)
    format = questions.hit_format(common)
    if questions.more_like is None:
        _answer_questions(opened, fusion, questions, settings, texts, format)
    else:
        _find_like(opened, questions.more_like, questions.k, settings.narrowing, format)


def _find_like(index: Index, id: str, k: int, narrowing: Narrowing, format: HitFormat) -> None:
    """Write the documents nearest to a document of the index."""
    from embedkit.indexing.query import hits, is_quickest_exact

    row, vector = stored_vector(index, id)
    asked = narrowing.query(index, k, but=row)
    asked = replace(asked, exact=asked.exact or is_quickest_exact(index))
    found = hits(index, vector, asked, columns_of(format))
    write_hits([Answer(id, id, found[0])], format, named=False)


def _answer_questions(
    index: Index,
    fusion: Fusion | None,
    questions: QuestionOptions,
    settings: SearchSettings,
    texts: TextEncoding,
    format: HitFormat,
) -> None:
    """Write the hits of each question; libraries and the index are opened while the encoder is loaded."""
    from embedkit.cli.cluster import spread_indexes
    from embedkit.embedding.loading import prepare
    from embedkit.indexing.query import is_quickest_exact

    words, cluster = settings.words, settings.clustering.cluster
    typed = questions.query is not None
    quick = typed and cluster is None and not words.lexical and is_quickest_exact(index)
    with spread_indexes(cluster, [index]) as (opened,), ThreadPoolExecutor(1) as pool:
        background: list[Future[None]] = []
        if not words.lexical and opened.identity is not None:
            background.append(pool.submit(prepare, texts.encoding.settings_like(opened.identity)))
        if cluster is None:
            opening = opened.open_files if quick else opened.warm
            background.append(pool.submit(opening))  # after the encoder, which is needed first
        encoder = None if words.lexical else _encoder(opened, texts.encoding)
        asked = settings.narrowing.query(opened, questions.k, fusion=fusion, explain=words.explain)
        asked = replace(asked, exact=asked.exact or quick)
        windows = _windows(questions, texts.reading)
        answers = answer(opened, encoder, windows, asked, format, words.reader(opened, typed=typed))
        analysis = opened.lexical.settings if words.given else None
        write_hits(answers, format, named=not typed, analysis=analysis)
        for work in background:
            work.result()


def _encoder(index: Index, encoding: EncoderOptions) -> Encoder:
    encoder = encoding.load_for(index.identity, index.map, where=str(index.path))
    index.require_encoder(encoder)
    return encoder


def _windows(questions: QuestionOptions, reading: TextOptions) -> Iterator[list[Record]]:
    """Return the questions by window; raises UsageError if none is named and standard input is a terminal."""
    from embedkit.data.text.record import Record

    if questions.query is not None:
        return iter([[Record("1", questions.query, {})]])
    return _read(input_names(questions.inputs), reading.format())


def _read(names: list[str], format: TextFormat) -> Iterator[list[Record]]:
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
