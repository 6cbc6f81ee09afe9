"""The parameters of a search: read from a query string or from JSON, and checked against the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embedkit.errors import UnknownNameError, UsageError
from embedkit.serving.serve_settings import Limits

AUTO: Literal["auto"] = "auto"
Values = Mapping[str, object]


@dataclass(frozen=True)
class Search:
    """How a query is searched; by default by vectors alone, as `embedkit search` does."""

    k: int = 10
    index: str | None = None  # name of an index; None: the first
    where: str | None = None
    hybrid: float | Literal["auto"] | None = None  # share of the vectors; auto: as tuned for the index
    lexical: bool = False  # by words alone
    min_score: float | None = None
    operators: bool = False  # whether "phrase", +word and -word are operators, in a search by words
    explain: bool = False  # name the terms that matched, in a search by words
    highlight: bool = False  # add the places of the query's words in each text
    snippet: int | None = None  # characters of each text to return, around these words

    def __post_init__(self) -> None:
        if self.lexical and self.hybrid is not None:
            raise UsageError("'lexical' and 'hybrid' were both given; give one of them")
        if self.explain and not self.by_words:
            raise UsageError("'explain' applies to a search by words; add 'hybrid' or 'lexical'")

    @property
    def by_words(self) -> bool:
        """Whether words are searched, alone or together with vectors."""
        return self.lexical or self.hybrid is not None


NAMES = tuple(Search.__dataclass_fields__)


def read_search(values: Values, limits: Limits, *, operators: bool = False) -> Search:
    """Return the search that parameters describe; raises UsageError naming the first that is wrong."""
    for name in values:
        if name not in NAMES:
            raise UnknownNameError(name, NAMES, what="parameter")
    where = text_of(values, "where", most=limits.where)
    return Search(
        k=number_of(values, "k", default=10, least=1, most=limits.k),
        index=text_of(values, "index", most=1000),
        where=where if where and where.strip() else None,
        hybrid=_hybrid(values.get("hybrid")),
        lexical=flag_of(values, "lexical"),
        min_score=_score(values.get("min_score")),
        operators=flag_of(values, "operators", default=operators),
        explain=flag_of(values, "explain"),
        highlight=flag_of(values, "highlight"),
        snippet=number_of(values, "snippet", least=1, most=limits.characters) or None,
    )


def text_of(values: Values, name: str, *, most: int) -> str | None:
    """Return a text of at most `most` characters, or None where it is not given."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UsageError(f"'{name}' must be a text, got {_kind(value)}")
    return checked_text(value, name, most)


def checked_text(text: str, name: str, most: int) -> str:
    """Return a text after checking its length, and that it can be encoded; JSON may hold half a character."""
    if len(text) > most:
        raise UsageError(f"'{name}' has {len(text):,} characters, at most {most:,} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"'{name}' holds half of a character (a lone surrogate)") from None
    return text


def query_of(value: object, limits: Limits) -> str:
    """Return the text of a query, which must not be empty."""
    if not isinstance(value, str):
        raise UsageError(f"a query must be a text, got {_kind(value)}")
    text = checked_text(value, "q", limits.characters)
    if not text.strip():
        raise UsageError("the query is empty")
    return text


def number_of(values: Values, name: str, *, default: int = 0, least: int, most: int) -> int:
    """Return a whole number from `least` to `most`, or the default."""
    value = values.get(name)
    if value is None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"'{name}' must be a whole number from {least} to {most:,}, got {_shown(value)}")
    return value


def flag_of(values: Values, name: str, *, default: bool = False) -> bool:
    """Return whether a switch is on; the value of a query string may be empty, as in `?lexical`."""
    value = values.get(name, default)
    known = {True: True, False: False, "": True, "1": True, "true": True, "0": False, "false": False}
    if not isinstance(value, bool | str) or value not in known:
        raise UsageError(f"'{name}' must be true or false, got {_shown(value)}")
    return known[value]


def _hybrid(value: object) -> float | Literal["auto"] | None:
    if value is None or value is False or value == "false":
        return None
    if value is True or value in ("", "true", AUTO):
        return AUTO
    weight = _float(value)
    if weight is None or not 0 <= weight <= 1:
        raise UsageError(f"'hybrid' must be 'auto' or a weight from 0 to 1, got {_shown(value)}")
    return weight


def _score(value: object) -> float | None:
    score = None if value is None else _float(value)
    if value is not None and score is None:
        raise UsageError(f"'min_score' must be a finite number, got {_shown(value)}")
    return score


def _float(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _shown(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else repr(value)[:40]
