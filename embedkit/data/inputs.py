"""One way to open any input of a command: text (records) or vectors, from a vector set, a file, a URL or a
pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from embedkit.data.label_input import read_labels
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.data.text.streams import Stream, open_stream
from embedkit.data.vectors.vector_files import VectorFile, holds_vectors, read_vectors
from embedkit.data.vectors.vector_set import META, VectorSet
from embedkit.errors import DataError, UsageError

VectorSource = VectorSet | VectorFile


@contextmanager
def open_input(names: Sequence[str], format: TextFormat) -> Iterator[RecordReader | VectorSource]:
    """Open inputs by name; yield a RecordReader when they hold text, or the vectors when they hold vectors.

    Raises DataError for an input that cannot be read, and UsageError when one of several inputs holds
    vectors.
    """
    with ExitStack() as stack:
        first = Path(names[0])
        if first.is_dir() and (first / META).is_file():
            _one_only(names)
            _no_text_fields(format, names[0])
            yield VectorSet.open(first)
            return
        if first.suffix == ".safetensors" and first.is_file() and format.input_format is None:
            _one_only(names)
            _no_text_fields(format, names[0])
            yield read_labels(first)
            return
        stream = stack.enter_context(open_stream(names[0], format.input_format))
        if holds_vectors(stream):
            _one_only(names)
            _no_text_fields(format, names[0])
            yield read_vectors(stream)
        else:
            streams = _texts(_streams(stream, names[1:], format), names)
            yield RecordReader(streams, format, names=names, size=_size(names, stream))


@contextmanager
def open_vectors(name: str) -> Iterator[VectorSource]:
    """Open an input that must hold vectors; raises DataError when it holds text."""
    with open_input([name], TextFormat()) as source:
        if isinstance(source, RecordReader):
            raise DataError("holds text, not vectors", where=name, hint="encode it with embedkit encode")
        yield source


@contextmanager
def open_text(names: Sequence[str], format: TextFormat) -> Iterator[RecordReader]:
    """Open inputs that must hold text; a vector set yields the texts it keeps.

    Raises DataError for an input that cannot be read or holds no text.
    """
    files, format = text_files(names, format)
    with ExitStack() as stack:
        stream = stack.enter_context(open_stream(files[0], format.input_format))
        size = _size(files, stream)
        yield RecordReader(_streams(stream, files[1:], format), format, names=names, size=size)


def text_files(names: Sequence[str], format: TextFormat) -> tuple[list[str], TextFormat]:
    """Return the files that hold the inputs' texts, and the format to read them in; a vector set's files are
    its shards.

    Raises DataError for a set that keeps no texts.
    """
    files = [file for name in names for file in _shard_files(name)]
    if files != list(names):  # texts in a vector set already include their titles
        format = replace(format, text_field=format.text_field or "text", id_field=format.id_field or "id")
    return files, format


def _shard_files(name: str) -> list[str]:
    if not (Path(name) / META).is_file():
        return [name]
    vectors = VectorSet.open(Path(name))
    if not vectors.meta.has_text:
        raise DataError("stores no texts", where=name)
    return [str(vectors.path / shard.file) for shard in vectors.shards]


def _size(names: Sequence[str], first: Stream) -> int | None:
    """Return the total bytes of all inputs, or None when the total is unknown before reading."""
    if len(names) == 1:
        return first.size
    return (
        sum(Path(name).stat().st_size for name in names)
        if all(Path(name).is_file() for name in names)
        else None
    )


def _streams(first: Stream, others: Sequence[str], format: TextFormat) -> Iterator[Stream]:
    yield first
    for name in others:
        with open_stream(name, format.input_format) as stream:
            yield stream


def _texts(streams: Iterator[Stream], names: Sequence[str]) -> Iterator[Stream]:
    """Yield streams of text; raises UsageError for one that holds vectors."""
    for stream in streams:
        if holds_vectors(stream):
            hint = f"{names[0]} holds text; give them to two commands"
            raise UsageError("holds vectors, expected text", where=stream.name, hint=hint)
        yield stream


def _no_text_fields(format: TextFormat, name: str) -> None:
    for field, value in (("id_field", format.id_field), ("text_field", format.text_field)):
        if value is not None:
            raise UsageError(
                "applies only to text; vectors have the columns id, text and vector",
                where=f"`{field}`",
                hint=f"{name} holds vectors",
            )


def _one_only(names: Sequence[str]) -> None:
    if len(names) > 1:
        raise UsageError(f"only one input may hold vectors, {len(names)} were named", where=names[0])
