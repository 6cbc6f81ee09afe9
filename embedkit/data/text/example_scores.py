"""A teacher's scores of the positive and the hard negatives of training examples, in columns of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from embedkit.data.text.display import it_has, shown
from embedkit.data.text.field_names import plain, usual_pair
from embedkit.data.text.json_lines import Row
from embedkit.errors import DataError

PAIRS = [  # of usual names; a number may follow the second, as in negative_score_1, negative_score_2
    ("score", "scores"), ("positivescore", "negativescore"), ("positivescore", "negativescores"),
    ("posscore", "negscore"), ("posscores", "negscores"), ("similarity", "similarities"),
]  # fmt: skip


class ScoreColumns(NamedTuple):
    """The columns of scores: those of the positive, and of the hard negatives in their order."""

    positive: str
    negatives: tuple[str, ...]

    def of(self, row: Row, positive: str, negatives: Sequence[str]) -> list[tuple[float, ...]]:
        """Return the scores per positive of a row, whose texts are in the named columns: the positive's, then
        those of the hard negatives. Scores of blank texts are passed over.

        Raises DataError when there are other numbers of texts and scores, or a score is not a number.
        """
        others = _scores(row, negatives, self.negatives)
        return [(score, *others) for score in _scores(row, [positive], [self.positive])]


def choose_scores(where: str, names: Sequence[str], wanted: Sequence[str]) -> ScoreColumns:
    """Return the columns of scores among `names`: `wanted` in order, or by their usual names if it is empty.

    Raises DataError when there are none.
    """
    if missing := next((name for name in wanted if name not in names), None):
        raise DataError(f"has no column {missing!r}", where=where, hint=it_has(list(names)))
    if wanted:
        return ScoreColumns(wanted[0], tuple(wanted[1:]))
    stems = {name: plain(name).rstrip("0123456789") for name in names}
    pair = usual_pair(names, PAIRS) or usual_pair([*names, *stems.values()], PAIRS)
    if pair is None:
        hint = f"{it_has(list(names))}; name them with `score_columns`, or name a `teacher`"
        raise DataError("has no columns with common names for scores", where=where, hint=hint)
    second = plain(pair[1]).rstrip("0123456789")
    return ScoreColumns(pair[0], tuple(name for name in names if stems[name] == second))


def _scores(row: Row, texts: Sequence[str], scores: Sequence[str]) -> list[float]:
    """Return the scores of the texts that are not blank."""
    given, found = _values(row, texts), _values(row, scores)
    if len(given) != len(found):
        what = f"has {len(given)} texts in {', '.join(texts) or 'no column'}"
        raise DataError(f"{what} and {len(found)} scores in {', '.join(scores) or 'no column'}")
    numbers = [_number(value) for value in found]
    return [number for text, number in zip(given, numbers, strict=True) if _is_text(text)]


def _values(row: Row, names: Sequence[str]) -> list[object]:
    columns = [row.get(name) for name in names]
    return [value for column in columns for value in (column if isinstance(column, list) else [column])]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: Any) -> float:
    """Return a score; NaN, which is not taught, for a missing one."""
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"has {shown(value)} where a score is expected") from None
