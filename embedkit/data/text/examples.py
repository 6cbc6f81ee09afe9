"""Training examples: sentences, or rows of an anchor, a positive and hard negatives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from embedkit.data.text.display import it_has, shown
from embedkit.data.text.example_columns import Choice, PlacedRows, choose, with_scores
from embedkit.data.text.json_lines import Row
from embedkit.data.text.read_errors import readable
from embedkit.data.text.records import TextFormat
from embedkit.data.text.rows import row_parsers
from embedkit.data.text.streams import Stream, open_stream
from embedkit.errors import DataError, UsageError

_CHOOSING_ROWS = 1_000  # of a stream of pairs, by which its columns are chosen


@dataclass(frozen=True)
class Examples:
    """Rows of texts: a sentence, or an anchor, its positive and any number of hard negatives."""

    columns: tuple[str, ...]  # columns of the first file
    rows: list[tuple[str, ...]]
    blank: int = 0  # blank lines and texts
    skipped: int = 0  # records that could not be read
    choices: tuple[Choice, ...] = field(default=(), compare=False)  # one per file with columns
    scores: list[tuple[float, ...]] | None = None  # per row, of its positive and hard negatives; or not read

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self) -> Iterator[str]:
        """Return every text, row by row."""
        return (text for row in self.rows for text in row)


def read_examples(
    names: Sequence[str],
    format: TextFormat | None = None,
    columns: Sequence[str] | None = None,
    scores: Sequence[str] | None = None,
) -> Examples:
    """Read examples from paths, URLs or `-`.

    Plain text contains sentences. In tables, the anchor, its positive and hard negatives are chosen by their
    usual names, such as `query`, `pos` and `neg`, in any order, or are named in order by `columns`; a column
    of negatives may hold lists, and rows may differ in the number of negatives. A row with a list of
    positives becomes one example per positive. A table with a field `text`, or with one column of text,
    contains sentences. CSV and TSV without a header have an anchor, a positive and hard negatives in this
    order.

    With `scores`, each row also has a teacher's scores, from the columns named in the same order, or by their
    usual names, such as `score` and `scores`, if `scores` is empty.

    Raises DataError when there are no examples or no scores, columns have other names, an anchor or a
    positive is empty or not text, or one input has sentences and another has pairs.

    >>> read_examples(["triplets.tsv"]).columns
    ('sent0', 'sent1', 'hard_neg')
    """
    format = format or TextFormat()
    found: Examples | None = None
    for name in names:
        with open_stream(name, format.input_format) as stream, readable(stream.name):
            part = _read(stream, format, columns, scores)
        found = part if found is None or not found.rows else _joined(found, part, name, names[0])
    if found is None or not found.rows:
        raise DataError("the input contains no text", where=", ".join(names) or None)
    return found


def stream_pairs(
    name: str, format: TextFormat | None = None, source: str | None = None
) -> Iterator[tuple[str, str, str | None]]:
    """Yield each anchor with a positive and the value of the column `source`, None without one, in the order
    of a path, a URL or `-`.

    The columns are chosen as by `read_examples`, but by the first rows alone, so that memory does not grow
    with the input. Raises DataError as `read_examples` does, and UsageError for sentences.
    """
    format = format or TextFormat()
    with open_stream(name, format.input_format) as stream, readable(stream.name):
        rows = _readable_rows(stream, format)
        first = list(islice(rows, _CHOOSING_ROWS))
        if not first:
            raise DataError("the input contains no text", where=name)
        choice, first = choose(stream, first, format, None)
        if choice.positive is None:
            raise UsageError("has sentences, expected an anchor and its positive", where=name)
        names = tuple(first[0][1])
        for place, row in chain(first, rows):
            named = row if choice.header else dict(zip(names, row.values(), strict=True))
            try:
                found = named.get(source) if source else None
                for anchor, positive, *_ in _pairs(named, choice):
                    yield anchor, positive, None if _is_absent(found) else str(found)
            except DataError as error:
                _skipped(error, place, format)


def _readable_rows(stream: Stream, format: TextFormat) -> Iterator[tuple[str, Row]]:
    """Yield the rows with their places, without blank ones."""
    for place, parse in row_parsers(stream):
        try:
            if (row := parse()) is not None:
                yield place, row
        except (DataError, ValueError, OverflowError) as error:
            _skipped(error, place, format)


def _read(
    stream: Stream, format: TextFormat, wanted: Sequence[str] | None, scores: Sequence[str] | None
) -> Examples:
    composed = stream.kind in ("parquet", "arrow") and "vector" in stream.table.schema.names
    rows: PlacedRows = []
    examples: list[tuple[str, ...]] = []
    taught: list[tuple[float, ...]] | None = None if scores is None else []
    blank = skipped = 0
    for place, parse in row_parsers(stream):
        try:
            if (row := parse()) is None:
                blank += 1
            else:
                rows.append((place, row))
        except (DataError, ValueError, OverflowError) as error:
            skipped += _skipped(error, place, format)
    if not rows:
        return Examples((), [], blank, skipped)
    choice, rows = choose(stream, rows, format, wanted)
    choice = choice if scores is None else with_scores(choice, scores)
    titled = not (composed or wanted or format.text_field)
    for place, row in rows:
        try:
            found = _sentence(row, choice.first, titled) if choice.positive is None else _pairs(row, choice)
            if taught is not None and choice.scores is not None:
                taught += choice.scores.of(row, str(choice.positive), choice.negatives)
            examples += found
            blank += not found
        except DataError as error:
            skipped += _skipped(error, place, format)
    told = () if stream.kind == "text" else (choice,)
    return Examples(choice.columns, examples, blank, skipped, told, taught)


def _skipped(error: Exception, place: str, format: TextFormat) -> int:
    if format.on_error == "skip":
        return 1
    what = error.what if isinstance(error, DataError) else str(error)
    hint = getattr(error, "hint", None) or "pass over such records with `on_error=skip`"
    raise DataError(what, where=place, hint=hint) from None


def _sentence(row: Row, name: str, titled: bool) -> list[tuple[str, ...]]:
    """Return the text, after its `title` as in records; an empty list when it is blank."""
    text = _value(row, name)
    if text is not None and not isinstance(text, str):
        raise DataError(f"column {name!r} has {shown(text)} where text is expected")
    title = row.get("title") if titled and name == "text" else None
    text = f"{title} {text or ''}".strip() if isinstance(title, str) and title else text
    return [(text,)] if text and text.strip() else []


def _pairs(row: Row, choice: Choice) -> list[tuple[str, ...]]:
    """Return one example per positive of a row."""
    assert choice.positive is not None
    (anchor,) = _texts(row, choice.first, least=1, lists=False)
    positives = _texts(row, choice.positive, least=1)
    negatives = [text for name in choice.negatives for text in _texts(row, name, least=0)]
    return [(anchor, positive, *negatives) for positive in positives]


def _texts(row: Row, name: str, *, least: int, lists: bool = True) -> list[str]:
    """Return the texts in a column, one or a list of them, without blank ones; raises DataError for fewer
    than `least`.
    """
    value = _value(row, name) if least else row.get(name)
    values = value if isinstance(value, list) and lists else [value]
    for each in values:
        if not isinstance(each, str) and not _is_absent(each):
            what = f"column {name!r} has {shown(each)} where text is expected"
            raise DataError(what, hint="name the columns of text with `columns`")
    texts = [each for each in values if isinstance(each, str) and each.strip()]
    if len(texts) < least:
        raise DataError(f"column {name!r} is empty", hint="name the columns of text with `columns`")
    return texts


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))  # pandas writes NaN for None


def _value(row: Row, name: str) -> object:
    if name not in row:
        raise DataError(f"has no column {name!r}", hint=it_has(list(row)))
    return row[name]


def _joined(one: Examples, other: Examples, name: str, first: str) -> Examples:
    if other.rows and (len(other.columns) > 1) != (len(one.columns) > 1):
        kinds = ("sentences", "anchors and positives")
        sides = kinds[len(other.columns) > 1], kinds[len(one.columns) > 1]
        raise DataError(
            f"has {sides[0]}, and {first} has {sides[1]}", where=name, hint="train on one kind at a time"
        )
    counts = (one.blank + other.blank, one.skipped + other.skipped)
    scores = None if one.scores is None else one.scores + (other.scores or [])
    return Examples(one.columns, one.rows + other.rows, *counts, (*one.choices, *other.choices), scores)
