"""Training examples in: lines of text, or tables of anchor, positive and hard negatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from embedkit.data.records import ID_FIELDS, RecordReader, TextFormat
from embedkit.data.rows import first_object, header_of, require_header
from embedkit.data.streams import Stream, open_stream
from embedkit.errors import DataError

NOT_TEXT = {*ID_FIELDS, "score", "label", "split", "lang", "source"}  # columns that are no view of anything


@dataclass(frozen=True)
class Examples:
    """Rows of texts, a column a view: one column of plain text, or anchor, positive[, hard negatives]."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    blank: int = 0  # lines passed over
    skipped: int = 0  # records that could not be read

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self) -> Iterator[str]:
        """Return every text, row by row."""
        return (text for row in self.rows for text in row)


def read_examples(
    names: Sequence[str], format: TextFormat | None = None, columns: Sequence[str] | None = None
) -> Examples:
    """Read examples from paths, URLs or `-`.

    Plain text, and tables with a field `text` (or one column), are sentences without labels. Other tables
    have a text column for each view, in order: anchor, positive, and any hard negatives; `columns` names
    them where there are others beside. Raises DataError when there is none, a text is empty, or files differ
    in columns.

    >>> read_examples(["triplets.tsv"]).columns
    ('sent0', 'sent1', 'hard_neg')
    """
    format = format or TextFormat()
    found: Examples | None = None
    for name in names:
        with open_stream(name, format.input_format) as stream:
            part = _read(stream, name, format, columns)
        if found is not None and len(part.columns) != len(found.columns):
            sides = f"{len(part.columns)} columns of text, {names[0]} has {len(found.columns)}"
            raise DataError(f"has {sides}", where=name)
        found = part if found is None else _joined(found, part)
    if found is None or not found.rows:
        raise DataError("there is no text in the input", where=", ".join(names) or None)
    return found


def _read(stream: Stream, name: str, format: TextFormat, wanted: Sequence[str] | None) -> Examples:
    columns = tuple(wanted or _columns(stream, format))
    if len(columns) > 1:
        format = replace(format, text_field=columns[0])
    elif wanted:
        format = replace(format, text_field=wanted[0])
    reader = RecordReader([stream], format, names=[name])
    rows = [
        (record.text, *_others(record.fields, columns[1:], f"{name}: record {record.id}"))
        for record in reader
    ]
    return Examples(columns, rows, reader.blank, reader.skipped)


def _others(fields: dict[str, Any], names: Sequence[str], where: str) -> list[str]:
    texts = []
    for name in names:
        if name not in fields:
            raise DataError(f"has no column {name!r}", where=where)
        if not isinstance(fields[name], str) or not fields[name].strip():
            what = (
                "is empty" if fields[name] in (None, "") or isinstance(fields[name], str) else "is not text"
            )
            raise DataError(
                f"column {name!r} {what}", where=where, hint="--columns names the columns of text"
            )
        texts.append(fields[name])
    return texts


def _columns(stream: Stream, format: TextFormat) -> Sequence[str]:
    """Return the columns of text in order, read off the header, the schema, or the first line."""
    if stream.kind == "text":
        return ["text"]
    if stream.kind in ("csv", "tsv") and format.text_field is None:
        require_header(stream)
    names = _names(stream)
    if format.text_field is not None or "text" in names or not names:
        return [format.text_field or "text"]
    beside = {*NOT_TEXT, "vector"}
    found = [name for name in names if name.lower() not in beside and name != format.id_field]
    if not found:
        raise DataError("has no column of text", where=stream.name, hint=f"it has {', '.join(names)}")
    return found


def _names(stream: Stream) -> list[str]:
    if stream.kind in ("parquet", "arrow"):
        return list(stream.table.schema.names)
    if stream.kind in ("csv", "tsv"):
        return header_of(stream)
    return _keys(stream)


def _keys(stream: Stream) -> list[str]:
    first = first_object(stream) or {}
    texts = [key for key, value in first.items() if isinstance(value, str)]
    if first and not texts:
        hint = f"its first line has {', '.join(first)}"
        raise DataError("has no column of text", where=stream.name, hint=hint)
    return texts


def _joined(one: Examples, other: Examples) -> Examples:
    return Examples(one.columns, one.rows + other.rows, one.blank + other.blank, one.skipped + other.skipped)
