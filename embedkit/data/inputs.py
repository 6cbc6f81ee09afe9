"""One way to open any input of a command: text (records) or vectors, from a vector set, a file, a URL or a
pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from embedkit.data.folders.folder_source import Folders, is_folder
from embedkit.data.label_input import read_labels
from embedkit.data.text.records import RecordReader, RecordSource, TextFormat
from embedkit.data.text.streams import Stream, open_stream
from embedkit.data.vectors.vector_files import VectorFile, holds_vectors, read_vectors
from embedkit.data.vectors.vector_set import META, VectorSet
from embedkit.errors import DataError, UsageError

VectorSource = VectorSet | VectorFile
_FORMAT = TextFormat()


@contextmanager
def open_input(names: Sequence[str], format: TextFormat) -> Iterator[RecordReader | VectorSource]:
    """Open inputs by name; yield a RecordReader when they hold text, or the vectors when they hold vectors.

    Raises DataError for an input that cannot be read, and UsageError when one of several inputs holds
    vectors.
    """
    with ExitStack() as stack:
        first = Path(names[0])
        if _is_vector_set(names[0]):
            _one_only(names)
            _no_text_fields(format, names[0])
            yield VectorSet.open(first)
            return
        if first.suffix == ".safetensors" and first.is_file() and format.input_format is None:
            _one_only(names)
            _no_text_fields(format, names[0])
            yield read_labels(first)
            return
        folders = _folders(names, format)
        stream = stack.enter_context(_opened(names[0], format, folders))
        if isinstance(stream, Stream) and holds_vectors(stream):
            _one_only(names)
            _no_text_fields(format, names[0])
            yield read_vectors(stream)
        else:
            streams = _texts(_streams(stream, names[1:], format, folders), names)
            yield RecordReader(streams, format, names=names, size=_size(names, stream), folders=folders)


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
        folders = _folders(files, format)
        stream = stack.enter_context(_opened(files[0], format, folders))
        streams, size = _streams(stream, files[1:], format, folders), _size(files, stream)
        yield RecordReader(streams, format, names=names, size=size, folders=folders)


def open_records(names: Sequence[str], format: TextFormat = _FORMAT) -> RecordReader:
    """Read records from paths, folders, URLs or `-`.

    >>> for record in open_records(["corpus.jsonl"]): print(record.id, record.text)
    """
    folders = _folders(names, format)

    def streams() -> Iterator[Stream | RecordSource]:
        """Yield the opened inputs, one after the other."""
        for name in names:
            with _opened(name, format, folders) as stream:
                yield stream

    return RecordReader(streams(), format, names=names, folders=folders)


def text_files(names: Sequence[str], format: TextFormat) -> tuple[list[str], TextFormat]:
    """Return the files that hold the inputs' texts, and the format to read them in; a vector set's files are
    its shards.

    Raises DataError for a set that keeps no texts.
    """
    files = [file for name in names for file in _shard_files(name)]
    if files != list(names):  # texts in a vector set already include their titles
        format = replace(format, text_field=format.text_field or "text", id_field=format.id_field or "id")
    return files, format


def _is_vector_set(name: str) -> bool:
    return name != "-" and (Path(name) / META).is_file()


def _shard_files(name: str) -> list[str]:
    if not _is_vector_set(name):
        return [name]
    vectors = VectorSet.open(Path(name))
    if not vectors.meta.has_text:
        raise DataError("stores no texts", where=name)
    return [str(vectors.path / shard.file) for shard in vectors.shards]


def _folders(names: Sequence[str], format: TextFormat) -> Folders | None:
    """Return the folders of files among the inputs; None if there is none."""
    named = [name for name in names if is_folder(name)]
    return Folders(named, format.folders) if named else None


@contextmanager
def _opened(name: str, format: TextFormat, folders: Folders | None) -> Iterator[Stream | RecordSource]:
    """Open an input of text: a folder of files, or a stream."""
    if folders is not None and is_folder(name):
        yield folders.source(name)
        return
    with open_stream(name, format.input_format) as stream:
        yield stream


def _size(names: Sequence[str], first: Stream | RecordSource) -> int | None:
    """Return the total bytes of all inputs, or None when the total is unknown before reading."""
    if len(names) == 1:
        return first.size
    return (
        sum(Path(name).stat().st_size for name in names)
        if all(Path(name).is_file() for name in names)
        else None
    )


def _streams(
    first: Stream | RecordSource, others: Sequence[str], format: TextFormat, folders: Folders | None
) -> Iterator[Stream | RecordSource]:
    yield first
    for name in others:
        with _opened(name, format, folders) as stream:
            yield stream


def _texts(streams: Iterator[Stream | RecordSource], names: Sequence[str]) -> Iterator[Stream | RecordSource]:
    """Yield streams of text; raises UsageError for one that holds vectors."""
    for stream in streams:
        if isinstance(stream, Stream) and holds_vectors(stream):
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
