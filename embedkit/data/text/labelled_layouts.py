"""The layout of a file of labelled texts, and the fields that hold the text and the labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from embedkit.data.text.display import counted, it_has
from embedkit.data.text.field_names import plain, usual
from embedkit.data.text.records import ID_FIELDS, TextFormat
from embedkit.data.text.streams import Stream
from embedkit.errors import DataError

TEXTS = (  # in order of preference; spaces, hyphens, underscores and capitals do not count
    "text", "sentence", "utterance", "query", "question", "content", "document", "passage", "message",
    "review", "comment", "title", "headline",
)  # fmt: skip
LABELS = (
    "label", "category", "intent", "class", "topic", "target", "labeltext", "labels", "tags", "categories",
)  # fmt: skip

TABLES = ("parquet", "arrow")


class Fields(NamedTuple):
    """The names of the fields that hold a row's text and labels."""

    text: str
    label: str


class Wanted(NamedTuple):
    """The requested fields of text and labels; None means a field with a common name."""

    text: str | None
    label: str | None


class Layout(NamedTuple):
    """The way a stream is read as rows."""

    stream: Stream  # has the detected kind, tsv or csv
    header: list[str] | None = None  # names of the cells when the file has no header
    fields: Fields | None = None  # None: the first record decides


def layout_of(stream: Stream, format: TextFormat, wanted: Wanted) -> Layout:
    """Return the layout, from the schema or the first line; raises DataError when these name fields, but none
    for the text or the labels.
    """
    if stream.kind in TABLES:
        return Layout(stream, fields=_named(stream.table.schema.names, wanted, stream.name))
    if stream.kind not in ("text", "csv", "tsv"):
        return Layout(stream)
    line, number = _first_line(stream)
    kind, place = stream.kind, f"{stream.name}:{number}"
    if format.input_format not in ("csv", "tsv"):
        stream = replace(stream, kind="tsv" if "\t" in line else "csv")
    cells = line.split("\t") if stream.kind == "tsv" else _csv_cells(line)
    if not line:
        return Layout(stream)
    if (kind == stream.kind == "csv") or _is_header(cells, wanted):
        return Layout(stream, fields=_named(cells, wanted, place))
    if stream.kind == "csv" or len(cells) != 2:
        what = f"has {counted(len(cells), 'cell')}, and none names a field"
        raise DataError(
            what, where=place, hint="write text, tab, label per line, or name the fields in the first line"
        )
    return Layout(stream, ["text", "label"], Fields("text", "label"))


def _first_line(stream: Stream) -> tuple[str, int]:
    """Return the first line that is not blank, and its number, without consuming it."""
    number, line = stream.first_line()
    return line.rstrip(b"\r\n").decode("utf-8", "replace"), number


def _csv_cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # too long, or not CSV: not a header
        return [line]


def _is_header(cells: Sequence[str], wanted: Wanted) -> bool:
    """Return whether cells are field names: one is a label's, the first is a text's, or fields were
    requested.
    """
    return any(wanted) or plain(cells[0]) in TEXTS or any(plain(cell) in LABELS for cell in cells)


def _named(names: list[str], wanted: Wanted, place: str) -> Fields:
    try:
        return fields_of(names, wanted)
    except DataError as error:
        raise DataError(error.what, where=place, hint=error.hint) from None


def fields_of(names: list[str], wanted: Wanted) -> Fields:
    """Return the fields of the text and the labels: as requested, by common names, or the only field for text
    other than labels and id.
    """
    require(names, [name for name in wanted if name is not None])
    label = wanted.label or usual([name for name in names if name != wanted.text], LABELS)
    others = [name for name in names if name not in (label, *ID_FIELDS, "vector")]
    text = wanted.text or usual(others, TEXTS) or (others[0] if label and len(others) == 1 else None)
    if label is None or text is None:
        what, field = ("labels", "label_field") if label is None else ("the text", "text_field")
        hint = f"{it_has(names)}; name one as `{field}`"
        raise DataError(f"has no field of a common name for {what}", hint=hint)
    return Fields(text, label)


def require(names: Sequence[str], fields: Sequence[str]) -> None:
    """Raise DataError when a row with fields `names` lacks one of `fields`."""
    if missing := [name for name in fields if name not in names]:
        raise DataError(f"has no field {missing[0]!r}", hint=it_has(names))
