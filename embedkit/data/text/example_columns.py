"""The columns of a file that are trained on: chosen by their usual names, or named in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from embedkit.data.text import scored_pairs
from embedkit.data.text.display import it_has, named, shown
from embedkit.data.text.example_scores import ScoreColumns, choose_scores
from embedkit.data.text.field_names import plain, usual, usual_pair
from embedkit.data.text.json_lines import Row
from embedkit.data.text.records import ID_FIELDS, TextFormat
from embedkit.data.text.streams import Stream
from embedkit.errors import DataError

ANCHORS = ("anchor", "query", "question")
POSITIVES = ("positive", "positives", "pos", "posdoc", "positivepassage", "positivepassages", "textpos")
ANSWERS = ("answer", "response", "document", "passage", "context")
NEGATIVES = {  # a number may follow each, as in negative_1, negative_2
    "negative", "negatives", "neg", "negs", "hardnegative", "hardnegatives", "hardneg", "hardnegs", "hard",
    "negdoc", "negativepassage", "negativepassages", "textneg",
}  # fmt: skip
SURE = [(a, b) for a in (*ANCHORS, "text", "sentence") for b in POSITIVES]  # used even if a `text` exists
PAIRS = [
    *SURE, ("sent0", "sent1"), *scored_pairs.TEXTS, *((a, b) for a in ANCHORS for b in ANSWERS),
    ("title", "body"), ("title", "abstract"), ("caption1", "caption2"), ("title1", "title2"),
]  # fmt: skip
NOT_TEXT = {*ID_FIELDS, "score", "label", "split", "lang", "source"}  # columns without sentences

_NAMES = {*ANCHORS, *POSITIVES, *ANSWERS, *NEGATIVES, *NOT_TEXT, "text", "sentence", "title"}
_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")  # characters that end a sentence


PlacedRows = list[tuple[str, Row]]


class Choice(NamedTuple):
    """The columns of a file that are trained on."""

    file: str
    first: str  # the sentence, or the anchor
    positive: str | None = None  # None: sentences
    negatives: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # columns not trained on
    header: bool = True  # False: the first line is data, and columns are numbered
    scores: ScoreColumns | None = None  # None: no scores are taught

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns in order."""
        return (self.first, *([] if self.positive is None else [self.positive]), *self.negatives)

    def __str__(self) -> str:
        parts = [f"anchor = {self.first}", f"positive = {self.positive}"]
        if self.positive is None:
            parts = [f"sentences = {self.first}"]
        if self.negatives:
            parts.append(f"hard negatives = {', '.join(self.negatives)}")
        if self.scores is not None:
            parts.append(f"scores = {', '.join((self.scores.positive, *self.scores.negatives))}")
        line = f"{self.file}: {'' if self.header else 'no header; '}{', '.join(parts)}"
        others = ", ".join(map(named, self.others))
        return f"{line}; not trained on: {others}" if others else line


def choose(
    stream: Stream, rows: PlacedRows, format: TextFormat, wanted: Sequence[str] | None
) -> tuple[Choice, PlacedRows]:
    """Return the columns to train on, and the rows, including the first line when it is not a header."""
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    given = wanted or ([format.text_field] if format.text_field else [])
    for name in [*given, *([format.id_field] if format.id_field else [])]:
        if name not in names:
            raise DataError(f"has no column {name!r}", where=stream.name, hint=it_has(names))
    header = bool(given) or stream.kind not in ("csv", "tsv") or not _is_data(names, rows)
    if not header:
        rows, names = _numbered(stream.name, names, rows)
        given = names
    first, positive, negatives = _by_order(given) if given else _by_name(stream.name, names, rows, format)
    taken = {first, positive, *negatives} | ({"title"} if first == "text" and not given else set())
    others = tuple(name for name in names if name not in taken)
    return Choice(stream.name, first, positive, negatives, others, header), rows


def with_scores(choice: Choice, wanted: Sequence[str]) -> Choice:
    """Return the choice with the columns of scores, `wanted` or by their usual names; raises DataError if
    there are none.
    """
    if not choice.negatives:
        what = "has no hard negatives, whose scores could be taught"
        raise DataError(what, where=choice.file, hint="name a `teacher`, or teach by `batch-kl`")
    scores = choose_scores(choice.file, choice.others, wanted)
    taken = {scores.positive, *scores.negatives}
    return choice._replace(scores=scores, others=tuple(name for name in choice.others if name not in taken))


def _by_order(names: Sequence[str]) -> tuple[str, str | None, tuple[str, ...]]:
    return names[0], names[1] if len(names) > 1 else None, tuple(names[2:])


def _by_name(
    where: str, names: list[str], rows: PlacedRows, format: TextFormat
) -> tuple[str, str | None, tuple[str, ...]]:
    names = [name for name in names if name not in (*ID_FIELDS, "vector", format.id_field)]
    if pair := usual_pair(names, SURE if "text" in names else PAIRS):
        _require_no_numbers(pair, rows, where)
        also = {"sent2"} if plain(pair[1]) == "sent1" else set()
        usual_negatives = [name for name in names if {plain(name), _stem(name)} & (NEGATIVES | also)]
        negatives = (name for name in usual_negatives if name not in pair and not _numbers(name, rows))
        return (*pair, tuple(negatives))
    if "text" in names:
        return "text", None, ()
    texts = [name for name in names if plain(name) not in NOT_TEXT and _holds_text(name, rows)]
    if not texts:
        raise DataError("has no column of text", where=where, hint=it_has(list(rows[0][1])))
    if len(texts) > 1 or _stem(texts[0]) in NEGATIVES:
        what = "has no columns with common names for an anchor and a positive"
        hint = f"{it_has(names)}; name them with `columns=ANCHOR,POSITIVE`, or name one column of sentences"
        raise DataError(what, where=where, hint=hint)
    return texts[0], None, ()


def _stem(name: str) -> str:
    return plain(name).rstrip("0123456789")


def _holds_text(name: str, rows: PlacedRows) -> bool:
    return any(not _is_number(text) for text in _strings(name, rows))


def _numbers(name: str, rows: PlacedRows) -> list[str]:
    """Return the strings of a column where all are numbers, as CSV has them; an empty list otherwise."""
    texts = list(_strings(name, rows))
    return texts if all(map(_is_number, texts)) else []


def _strings(name: str, rows: PlacedRows) -> Iterator[str]:
    """Return the strings of a column, also strings in lists, without blank ones."""
    values = (row.get(name) for _, row in rows)
    each = (inner for value in values for inner in (value if isinstance(value, list) else [value]))
    return (value for value in each if isinstance(value, str) and value.strip())


def _require_no_numbers(names: Sequence[str], rows: PlacedRows, where: str) -> None:
    """Raise DataError for a column of an anchor or a positive that holds numbers alone."""
    for name in names:
        if numbers := _numbers(name, rows):
            what = f"column {name!r} has {shown(numbers[0])} where text is expected"
            raise DataError(what, where=where, hint="name the columns of text with `columns`")


def _is_data(names: list[str], rows: PlacedRows) -> bool:
    """Return whether the first line, read as a header, is data: no cell is a known name, and one is a
    sentence at least half as long as the median of its column in the next rows.
    """
    if usual(names, _NAMES) is not None or usual_pair(names, PAIRS) is not None:
        return False
    for name in names:
        lengths = sorted(len(str(row[name])) for _, row in islice(rows, 8))
        sentence = name.count(" ") >= 3 or name.endswith(_ENDS) or re.search("[\u2e80-\uffff]{5}", name)
        if sentence and 2 * len(name) >= lengths[len(lengths) // 2]:
            return True
    return False


def _numbered(where: str, first: list[str], rows: PlacedRows) -> tuple[PlacedRows, list[str]]:
    """Return all rows, including the first line, with their columns named by number, and those names."""
    for number, cell in enumerate(first, 1):
        if not cell.strip() or _is_number(cell):
            what = f"has no header, and {shown(cell)} in column {number} where text is expected"
            raise DataError(what, where=f"{where}:1", hint="name the columns in a first line")
    names = [f"column {number}" for number in range(1, len(first) + 1)]
    values = [(f"{where}:1", first), *((place, list(row.values())) for place, row in rows)]
    return [(place, dict(zip(names, cells, strict=True))) for place, cells in values], names


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
