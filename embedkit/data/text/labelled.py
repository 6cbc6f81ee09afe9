"""Labelled texts: a text and the labels that apply to it, in the usual layouts of such data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from embedkit.data.text.display import shown
from embedkit.data.text.json_lines import Row
from embedkit.data.text.labelled_layouts import TABLES, Fields, Wanted, fields_of, layout_of, require
from embedkit.data.text.read_errors import readable
from embedkit.data.text.records import TextFormat
from embedkit.data.text.rows import row_parsers
from embedkit.data.text.streams import Stream, open_stream
from embedkit.errors import DataError


class LabelledText(NamedTuple):
    """A text, the labels that apply to it, and their weights, above 0 and at most 1."""

    text: str
    labels: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Labelled:
    """Labelled texts in order; `multiple` is True when any of them came with a list or weights of labels."""

    rows: list[LabelledText]
    multiple: bool
    blank: int = 0  # blank lines
    skipped: int = 0  # records that could not be read

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self) -> list[str]:
        """Return the text of each row."""
        return [row.text for row in self.rows]

    def labels(self) -> list[str]:
        """Return the one label of each row; raises DataError for a row with no label or several."""
        for number, row in enumerate(self.rows, 1):
            if len(row.labels) != 1:
                raise DataError(f"text {number} has {len(row.labels)} labels, expected one")
        return [row.labels[0] for row in self.rows]

    def names(self) -> list[str]:
        """Return every label once, sorted."""
        return sorted({name for row in self.rows for name in row.labels})


def read_labelled(
    names: Sequence[str], format: TextFormat | None = None, label_field: str | None = None
) -> Labelled:
    """Read labelled texts from paths, URLs or `-`; `label_field` names the labels' field when it has no
    common name.

    Supported are CSV with a header; tab-separated files, in which a quote is an ordinary character, with a
    header, or without one as text, label; JSONL; Parquet and Arrow; all of them compressed too. A cell of CSV
    or of a tab-separated file is one label. In the other kinds a label is text, a whole number, or true or
    false, and there may be a list of labels or an object of labels and weights, either of which may be empty;
    with one such row, all rows count as lists. Labels are stripped, repeated labels in a list count once, and
    BEIR's title goes before its text. Raises DataError naming the faulty line, and when there is no labelled
    text.

    >>> read_labelled(["train.csv"]).rows[0]
    LabelledText(text='I am still waiting on my card?', labels=('card_arrival',), weights=(1.0,))
    """
    format = format or TextFormat()
    parts = []
    for name in names:
        with open_stream(name, format.input_format) as stream, readable(stream.name):
            parts.append(_read(stream, format, Wanted(format.text_field, label_field)))
    found = Labelled(
        [row for part in parts for row in part.rows],
        any(part.multiple for part in parts),
        sum(part.blank for part in parts),
        sum(part.skipped for part in parts),
    )
    if not found.rows:
        what = "the input contains no labelled text"
        hint = f"{found.skipped:,} records could not be read" if found.skipped else None
        raise DataError(what, where=", ".join(names) or None, hint=hint)
    return found


def _read(stream: Stream, format: TextFormat, wanted: Wanted) -> Labelled:
    stream, header, fields = layout_of(stream, format, wanted)
    composed = stream.kind in TABLES and "vector" in stream.table.schema.names  # the text includes its title
    rows: list[LabelledText] = []
    multiple, blank, skipped = False, 0, 0
    for place, parse in row_parsers(stream, header):
        try:
            if (row := parse()) is None:
                blank += 1
                continue
            fields = fields or fields_of(list(row), wanted)
            text = _text(row, fields, title=not (composed or wanted.text))
            value = _of_table(row[fields.label]) if stream.kind in TABLES else row[fields.label]
            weights = _weights(value)
        except (DataError, ValueError, OverflowError) as error:
            if format.on_error == "skip":
                skipped += 1
                continue
            what = error.what if isinstance(error, DataError) else str(error)
            hint = getattr(error, "hint", None) or "pass over such records with `on_error=skip`"
            raise DataError(what, where=place, hint=hint) from None
        rows.append(LabelledText(text, tuple(weights), tuple(weights.values())))
        multiple = multiple or isinstance(value, list | dict)
    return Labelled(rows, multiple, blank, skipped)


def _text(row: Row, fields: Fields, *, title: bool) -> str:
    """Return the text of a row, after its `title` as in records; raises DataError for an empty text."""
    require(list(row), fields)
    text = row[fields.text]
    if not isinstance(text, str):
        raise DataError(f"has {shown(text)} where text is expected")
    if not text.strip():
        raise DataError("has an empty text")
    before = row.get("title") if title and fields.text == "text" and fields.label != "title" else None
    return f"{before} {text}".strip() if isinstance(before, str) and before else text


def _weights(value: object) -> dict[str, float]:
    """Return the labels and their weights from one label, a list of labels, or an object of weights."""
    if isinstance(value, list):
        return {_label(each): 1.0 for each in value}
    if not isinstance(value, dict):
        return {_label(value): 1.0}
    weights = {_label(name): _weight(weight, name) for name, weight in value.items()}
    if len(weights) < len(value):
        raise DataError("has two weights for one label", hint="space around a label is ignored")
    return weights


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        what = f"has {shown(value)} where a label is expected"
        raise DataError(what, hint="write a label as text, a whole number, or true or false")
    if not (label := str(value).strip()):
        raise DataError("has an empty label")
    return label


def _weight(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        what = f"has the weight {shown(value)} for {shown(name)}"
        raise DataError(what, hint="a weight must be above 0 and at most 1")
    return float(value)


def _of_table(value: object) -> object:
    """Return an Arrow map or struct as an object, without the nulls that a struct has for other rows'
    labels.
    """
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        value = dict(value)
    if isinstance(value, dict):
        return {name: weight for name, weight in value.items() if weight is not None}
    return value
