"""What the page shows of an index: its documents, its encoder, and its fields with their common values."""

from __future__ import annotations

from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from embedkit.data.vectors import schemas
from embedkit.serving.served_index import Generation, ServedIndex, has_words

_ROWS = 200_000  # documents that are read for fields and values
_VALUES = 30  # a field with more values is not listed by values
_LONGEST = 80  # characters of a listed value

_known: WeakKeyDictionary[Generation, dict[str, object]] = WeakKeyDictionary()


def index_facts(served: ServedIndex) -> dict[str, Any]:
    """Return the facts of an index as values of JSON; they are found once per generation."""
    generation = served.current
    if generation not in _known:
        _known[generation] = _facts(generation)
    return {"name": served.name, "failure": served.failure, **_known[generation]}


def _facts(generation: Generation) -> dict[str, object]:
    index = generation.index
    identity = generation.encoding.encoder.identity
    return {
        "documents": index.rows,
        "dimension": index.dimension,
        "kind": index.kind,
        "metric": index.metric,
        "encoder": identity.model,
        "generation": generation.number,
        "words": has_words(index),
        "weight": index.weight,
        "fields": _fields(generation),
    }


def _fields(generation: Generation) -> list[dict[str, Any]]:
    """Return names and types of the fields, and the values of those that have few."""
    tables: list[Any] = []
    rows = 0
    for table in chain.from_iterable(segment.documents() for segment in generation.index.segments):
        tables.append(table)
        rows += table.num_rows
        if rows >= _ROWS:
            break
    if not tables:
        return []
    schema = schemas.unify(table.schema for table in tables)
    fields = [field for field in schema if field.name not in ("id", "text")]
    return [
        {"name": field.name, "type": _type(field.type), "values": _common(tables, field)} for field in fields
    ]


def _type(type: object) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(type):
        return "boolean"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "number"
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_dictionary(type):
        return "text"
    return "other"


def _common(tables: list[Any], field: Any) -> list[Any]:
    """Return the values of a field, the most frequent first; none if it has too many or too long ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _type(field.type) == "other":
        return []
    counts: dict[Any, int] = {}
    for table in tables:
        if field.name not in table.schema.names:
            continue
        column = table.column(field.name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        for pair in pc.value_counts(column).to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
        if len(counts) > _VALUES + 1:
            return []
    counts.pop(None, None)
    values = sorted(counts, key=lambda value: (-counts[value], str(value)))
    return [] if any(len(str(value)) > _LONGEST for value in values) else [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)
