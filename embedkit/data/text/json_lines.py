"""Lines of JSON: each is an object whose names are unique and whose numbers Python holds exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from embedkit.data.text.input_kinds import ARRAY_HINT
from embedkit.data.text.lines import decoded, numbered
from embedkit.data.text.streams import Stream
from embedkit.data.vectors.columns import VECTOR
from embedkit.errors import DataError

MAX_DEPTH = 48  # levels; Parquet's reader fails at 50 nested lists, orjson's writer at 255
_LARGE = float(2**63)
_NAME = re.compile(rb'"\s*:')  # the end of a name in an object, or of a quotation in a text

Row = dict[str, Any]


def json_rows(file: Iterable[bytes], name: str) -> Iterator[tuple[str, Row]]:
    """Yield the place and the object of each line of JSONL; raises DataError naming a line that is not an
    object.
    """
    for number, line in numbered(file):
        place = f"{name}:{number}"
        try:
            row = json_row(line)
        except DataError as error:
            raise DataError(error.what, where=place, hint=error.hint) from None
        if row is not None:
            yield place, row


def first_object(stream: Stream) -> Row | None:
    """Return the first object of JSONL without consuming it; None when all lines are blank.

    Raises DataError naming the line when it is not an object.
    """
    number, line = stream.first_line()
    try:
        return json_row(line)
    except DataError as error:
        raise DataError(error.what, where=f"{stream.name}:{number}", hint=error.hint) from None


def json_row(line: bytes) -> Row | None:
    """Return the object of a line, a text as an object with the field `text`, or None for a blank line.

    Raises DataError for anything else.
    """
    if not line.strip():
        return None
    text = decoded(line)
    try:
        value = orjson.loads(line.rstrip())
    except orjson.JSONDecodeError as error:
        what = f"is not JSON: {error.msg} (column {error.colno})"
        raise DataError(what, hint=_json_hint(line.strip())) from None
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise DataError(f"is {json_type(value)}, not a JSON object", hint=_json_hint(line.strip()))
    names, depth, exact = _survey(value)
    if depth > MAX_DEPTH:
        hint = "write deeper values as text"
        raise DataError(f"is nested {depth} levels deep, expected at most {MAX_DEPTH}", hint=hint)
    if not exact or len(_NAME.findall(line)) > names:
        json.loads(text, object_pairs_hook=_named_once, parse_int=_of_64_bits)
    return value


def _json_hint(line: bytes) -> str | None:
    if line.startswith(b"["):
        return ARRAY_HINT
    if line == b"{":
        return "write each object on one line, as jq -c . does"
    return "JSON has neither NaN nor Infinity; write null" if b"NaN" in line or b"Infinity" in line else None


def _survey(row: Row) -> tuple[int, int, bool]:
    """Return how many names the objects in a row have, how deep it is nested, and whether all its numbers
    were read exactly: orjson reads a whole number beyond 64 bits as a float.
    """
    names, depth, exact = 0, 0, True
    level: list[Any] = [row]
    while level:
        depth += 1
        within: list[Any] = []
        for each in level:
            if type(each) is dict:
                names += len(each)
                each = each.values()
            for value in each:
                kind = type(value)
                if kind is dict or (kind is list and value and value is not row.get(VECTOR)):
                    within.append(value)
                elif kind is float and not -_LARGE < value < _LARGE:
                    exact = False
        level = within
    return names, depth, exact


def _named_once(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"has the field {repeated!r} more than once", hint="keep one of them")
    return row


def _of_64_bits(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**64:
        raise DataError(f"has the number {digits:.40}, which exceeds 64 bits", hint="write it as text")
    return number


def json_type(value: object) -> str:
    """Return the type of a JSON value, in words."""
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a decimal number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)
