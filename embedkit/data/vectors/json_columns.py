"""Columns of JSON text, for values that no single Arrow type fits, and Arrow values as Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

JSON = {b"embedkit": b"json"}  # metadata of such a column


def json_texts(values: Iterable[object]) -> pa.Array:
    """Return values as an Arrow array of JSON texts; None stays null."""
    import pyarrow as pa

    # not orjson, which refuses whole numbers beyond 64 bits and turns NaN into null
    return pa.array(
        [
            None if value is None else json.dumps(_maps_as_objects(value), ensure_ascii=False, default=_word)
            for value in values
        ],
        pa.string(),
    )


def _maps_as_objects(value: object) -> object:
    """Return a value in which the pairs of Arrow maps, at any depth, are objects."""
    if isinstance(value, dict):
        return {name: _maps_as_objects(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(pair, tuple) for pair in value):
        return {key if isinstance(key, str) else _word(key): _maps_as_objects(inner) for key, inner in value}
    return [_maps_as_objects(inner) for inner in value]


def _word(value: object) -> str:
    """Return a value that JSON lacks as text: bytes decoded as UTF-8, or in hex; other values as Python
    writes them.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.hex()
    return str(value)


def is_json(field: pa.Field) -> bool:
    """Return whether a field holds JSON text."""
    return bool(field.metadata and field.metadata.get(b"embedkit") == b"json")


def without_quotes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return JSON texts in which each JSON string is replaced by the string itself."""
    import pyarrow as pa
    from pyarrow import compute

    quoted = compute.fill_null(compute.starts_with(column, '"'), False)
    strings = [json.loads(text) for text in column.filter(quoted).to_pylist()]
    if not strings:
        return column
    texts, mask = pa.concat_arrays(column.chunks), pa.concat_arrays(quoted.chunks)
    return compute.replace_with_mask(texts, mask, pa.array(strings, texts.type))


def values_of(column: pa.ChunkedArray) -> list[object]:
    """Return a column as Python values."""
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [value_of(scalar) for scalar in column]
    return values


def value_of(scalar: pa.Scalar) -> Any:
    """Return an Arrow scalar as a Python value, or as text for a time that Python cannot represent."""
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # nanoseconds, or the year 10000
        return scalar.cast(pa.string()).as_py()
