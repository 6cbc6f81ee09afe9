"""Records as Arrow tables: columns `id`, `text`, then the other fields, of any type.

A field whose values are of one simple type, numbers, or dates and times becomes a column of that type. Any
other field (objects, mixed types) becomes a string column of JSON text, marked in the column's metadata, and
reads back as its original values. `schemas.py` joins tables that were written separately.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from embedkit.data.vectors.arrow_arrays import integers, strings
from embedkit.data.vectors.json_columns import JSON, is_json, json_texts, value_of, values_of

if TYPE_CHECKING:
    import pyarrow as pa

    from embedkit.data.text.record import Record

logger = logging.getLogger("embedkit")

RESERVED = ("id", "text", "vector")


def to_table(records: Sequence[Record], *, with_text: bool = True) -> pa.Table:
    """Return records as a pyarrow Table; a field named like one of our own columns gets a `_` after its
    name.
    """
    import pyarrow as pa

    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.fields))
    columns = [(pa.field("id", pa.string()), strings([record.id for record in records]))]
    if with_text:
        columns.append((pa.field("text", pa.string()), strings([record.text for record in records])))
    for name in names:
        columns.append(_column(_free(name), [record.fields.get(name) for record in records]))
    return pa.table([column for _, column in columns], schema=pa.schema([field for field, _ in columns]))


def texts(table: pa.Table) -> list[str | None]:
    """Return the texts of a table's rows; None where there is no text."""
    if "text" not in table.schema.names:
        return [None] * table.num_rows
    found: list[str | None] = table.column("text").to_pylist()
    return found


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows as Python values, with JSON columns decoded."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (ValueError, OverflowError):
        columns = zip(*map(values_of, table.columns), strict=True)
        rows = [dict(zip(table.schema.names, values, strict=True)) for values in columns]
    for field in table.schema:
        if is_json(field):
            for row in rows:
                if row[field.name] is not None:
                    row[field.name] = json.loads(row[field.name])
    return rows


def rows_at(
    table: pa.Table, places: Sequence[int], names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows at `places` as `to_rows` would, without reading other rows; `names` limits the columns.

    Values are read one by one, because `Table.take` of a numpy array loads pandas where it is installed.
    """
    rows: list[dict[str, Any]] = [{} for _ in places]
    for field in table.schema:
        if names is None or field.name in names:
            column, decode = table.column(field.name), is_json(field)
            chunk = column.chunk(0) if column.num_chunks == 1 else column
            for row, place in zip(rows, places, strict=True):
                value = value_of(chunk[place])
                row[field.name] = json.loads(value) if decode and value is not None else value
    return rows


def _free(name: str) -> str:
    # `id_` is renamed too, so that names stay distinct
    return f"{name}_" if name.rstrip("_") in RESERVED else name


def _column(name: str, values: list[Any]) -> tuple[Any, Any]:
    """Return a field and its column; values without a common type become JSON text, with a warning."""
    import pyarrow as pa

    types = set(map(_type_of, _leaves(values))) - {type(None)}
    if (widest := _widest(types)) is not None:
        values, types = [_each(value, widest) for value in values], {widest}
    if types <= {int, float} or (len(types) == 1 and dict not in types):
        for kind in (None, pa.uint64()) if types == {int} else (None,):
            with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                column = _array(values, types, kind)
                return pa.field(name, column.type), column
    if dict not in types:
        what = "values of several types, which have no common type; `where` compares texts"
        logger.warning("field %r has %s", name, what)
    return pa.field(name, pa.string(), metadata=JSON), json_texts(values)


def _widest(types: set[type]) -> type | None:
    """Return the type of values of several types that Arrow does not convert to it; else None."""
    if Decimal in types and types <= {int, float, Decimal}:
        return float if float in types else Decimal
    return datetime if types == {date, datetime} else None


def _each(value: Any, kind: type) -> Any:
    """Return a value, or each value of lists, as one of another type: a date as its midnight."""
    if isinstance(value, list):
        return [_each(inner, kind) for inner in value]
    if value is None or isinstance(value, kind):
        return value
    return datetime(value.year, value.month, value.day) if kind is datetime else kind(value)


def _array(values: list[Any], types: set[type], kind: Any) -> Any:
    """Return values of one type as an Arrow array, as `pyarrow.array` does."""
    import pyarrow as pa

    lists = any(isinstance(value, list) for value in values)
    if kind is None and not lists and types in ({str}, {int}):
        return strings(values) if types == {str} else integers(values)
    return pa.nulls(len(values)) if not types and not lists else pa.array(values, kind)


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """Yield values, and the values inside lists at any depth."""
    for value in values:
        if isinstance(value, list):
            yield from _leaves(value)
        else:
            yield value


def _type_of(value: Any) -> type:
    """Return the type by which values share a column; that of a key-value pair of an Arrow map is dict, and
    that of a time in a zone is its own. pandas has types of its own for times in nanoseconds.
    """
    if isinstance(value, datetime):
        return datetime if value.tzinfo is None else _Zoned
    if isinstance(value, timedelta):
        return timedelta
    return dict if isinstance(value, tuple) else type(value)


class _Zoned(datetime):
    """The type of times in a time zone, which those without one cannot be compared with."""
