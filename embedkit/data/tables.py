"""Records as Arrow tables: columns `id`, `text`, then the other fields, whatever their types turn out to be.

A field whose values share one simple type becomes a column of that type. Anything else (objects, mixtures)
becomes a string column of JSON text, marked in the column's metadata, and reads back as the values that went
in. Parts written separately may disagree on a field's type; `unify` settles one schema for all and `conform`
brings a part to it. Whole numbers in one part and fractions in another become float64, which is exact up to
2**53.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from embedkit.data.records import Record

RESERVED = ("id", "text", "vector")
_JSON = {b"embedkit": b"json"}


def to_table(records: Sequence[Record], *, with_text: bool = True) -> Any:
    """Return records as a pyarrow Table; a field named like one of our own columns gets a `_` behind its
    name.
    """
    import pyarrow as pa

    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.fields))
    columns = [(pa.field("id", pa.string()), pa.array([record.id for record in records], pa.string()))]
    if with_text:
        columns.append(
            (pa.field("text", pa.string()), pa.array([record.text for record in records], pa.string()))
        )
    for name in names:
        columns.append(_column(_free(name), [record.fields.get(name) for record in records]))
    return pa.table([column for _, column in columns], schema=pa.schema([field for field, _ in columns]))


def to_rows(table: Any) -> list[dict[str, Any]]:
    """Return a table's rows as Python values, JSON columns read back."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for field in table.schema:
        if _is_json(field):
            for row in rows:
                if row[field.name] is not None:
                    row[field.name] = json.loads(row[field.name])
    return rows


def rows_at(table: Any, places: Sequence[int], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return some rows as `to_rows` would, touching nothing else; `names` limits the columns.

    Value by value, since `Table.take` of a numpy array loads pandas where it is installed.
    """
    rows: list[dict[str, Any]] = [{} for _ in places]
    for field in table.schema:
        if names is None or field.name in names:
            column, is_json = table.column(field.name), _is_json(field)
            chunk = column.chunk(0) if column.num_chunks == 1 else column
            for row, place in zip(rows, places, strict=True):
                value = chunk[place].as_py()
                row[field.name] = json.loads(value) if is_json and value is not None else value
    return rows


def unify(schemas: Iterable[Any]) -> Any:
    """Return one Arrow schema that holds every field of all, in order of first appearance."""
    import pyarrow as pa

    fields: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            known = fields.get(field.name)
            fields[field.name] = field if known is None else _wider(known, field)
    return pa.schema(list(fields.values()))


def conform(table: Any, schema: Any) -> Any:
    """Bring a table to a schema that `unify` made: missing fields become nulls, other types are converted."""
    import pyarrow as pa

    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            columns.append(_convert(table.column(index), table.schema.field(index), field))
    return pa.table(columns, schema=schema)


def join(tables: Sequence[Any]) -> Any:
    """Concatenate tables whose fields may differ."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    schema = unify(table.schema for table in tables)
    return pa.concat_tables([conform(table, schema) for table in tables])


def _free(name: str) -> str:
    # `id_` makes way too, so that no two names meet
    return f"{name}_" if name.rstrip("_") in RESERVED else name


def _column(name: str, values: list[Any]) -> tuple[Any, Any]:
    import pyarrow as pa

    types = _leaf_types(values) - {type(None)}
    if types <= {int, float} or (len(types) == 1 and dict not in types):
        try:
            column = pa.array(values)
            return pa.field(name, column.type), column
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
    return pa.field(name, pa.string(), metadata=_JSON), _json_texts(values)


def _leaf_types(values: Iterable[Any]) -> set[type]:
    found: set[type] = set()
    for value in values:
        found |= _leaf_types(value) if isinstance(value, list | tuple) else {type(value)}
    return found


def _json_texts(values: Iterable[Any]) -> Any:
    import pyarrow as pa

    # not orjson, which refuses whole numbers beyond 64 bits and turns NaN into null
    return pa.array(
        [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values],
        pa.string(),
    )


def _is_json(field: Any) -> bool:
    return bool(field.metadata and field.metadata.get(b"embedkit") == b"json")


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if _is_json(one) or _is_json(other):
        return one if _is_json(one) else other
    if one.type == other.type or types.is_null(other.type):
        return one
    if types.is_null(one.type):
        return other
    numeric = [types.is_integer(field.type) or types.is_floating(field.type) for field in (one, other)]
    if all(numeric) and (types.is_floating(one.type) or types.is_floating(other.type)):
        return pa.field(one.name, pa.float64())
    return pa.field(one.name, pa.string(), metadata=_JSON)


def _convert(column: Any, have: Any, want: Any) -> Any:
    if have.type == want.type and _is_json(have) == _is_json(want):
        return column
    if not _is_json(want):
        return column.cast(want.type, safe=False)
    return _json_texts(column.to_pylist())
