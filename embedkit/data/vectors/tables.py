"""Records as Arrow tables: columns `id`, `text`, then the other fields, of any type.

A field whose values share one simple type becomes a column of that type. Any other field (objects, mixed
types) becomes a string column of JSON text, marked in the column's metadata, and reads back as its original
values. Tables written separately may have different types for a field; `unify` returns one schema for all and
`conform` converts a table to it. The common type of two columns is the one that Arrow promotes both to, where
that loses nothing; whole numbers in one table and fractions in another become float64, which is exact up to
2**53.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from embedkit.data.text.records import Record
from embedkit.data.vectors import arrow_types

RESERVED = ("id", "text", "vector")
_JSON = {b"embedkit": b"json"}

logger = logging.getLogger("embedkit")


def to_table(records: Sequence[Record], *, with_text: bool = True) -> Any:
    """Return records as a pyarrow Table; a field named like one of our own columns gets a `_` after its
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


def texts(table: Any) -> list[str | None]:
    """Return the texts of a table's rows; None where there is no text."""
    if "text" not in table.schema.names:
        return [None] * table.num_rows
    found: list[str | None] = table.column("text").to_pylist()
    return found


def to_rows(table: Any) -> list[dict[str, Any]]:
    """Return a table's rows as Python values, with JSON columns decoded."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (ValueError, OverflowError):
        columns = zip(*map(_values, table.columns), strict=True)
        rows = [dict(zip(table.schema.names, values, strict=True)) for values in columns]
    for field in table.schema:
        if _is_json(field):
            for row in rows:
                if row[field.name] is not None:
                    row[field.name] = json.loads(row[field.name])
    return rows


def rows_at(table: Any, places: Sequence[int], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the rows at `places` as `to_rows` would, without reading other rows; `names` limits the columns.

    Values are read one by one, because `Table.take` of a numpy array loads pandas where it is installed.
    """
    rows: list[dict[str, Any]] = [{} for _ in places]
    for field in table.schema:
        if names is None or field.name in names:
            column, is_json = table.column(field.name), _is_json(field)
            chunk = column.chunk(0) if column.num_chunks == 1 else column
            for row, place in zip(rows, places, strict=True):
                value = _value(chunk[place])
                row[field.name] = json.loads(value) if is_json and value is not None else value
    return rows


def unify(schemas: Iterable[Any]) -> Any:
    """Return one Arrow schema with every field of all, in order of first appearance, in plain types:
    dictionaries decoded.

    A field whose types have no common type becomes JSON text, with a warning.
    """
    import pyarrow as pa

    fields: dict[str, Any] = {}
    for field in (_plain_field(field) for schema in schemas for field in schema):
        known = fields.get(field.name)
        fields[field.name] = field if known is None else _wider(known, field)
    return pa.schema(list(fields.values()))


def conform(table: Any, schema: Any) -> Any:
    """Convert a table to a schema that `unify` made: missing fields become nulls, other types are
    converted.
    """
    import pyarrow as pa

    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            columns.append(_convert(table.column(index), table.schema.field(index), field))
    return pa.table(columns, schema=schema)


def plain(table: Any) -> Any:
    """Return a table in plain types: dictionaries decoded, at any depth."""
    return conform(table, unify([table.schema]))


def comparable(table: Any) -> Any:
    """Return a table in plain types that SQL can compare: JSON text of a string becomes that string, and
    numbers of types that DuckDB lacks become the nearest type that it has.
    """
    for place, field in enumerate(table.schema):
        column = table.column(place)
        found = _without_quotes(column) if _is_json(field) else _known_to_sql(column)
        if found is not column:
            table = table.set_column(place, field.name, found)
    return table


def join(tables: Sequence[Any]) -> Any:
    """Concatenate tables whose fields may differ, in plain types."""
    import pyarrow as pa

    if len(tables) == 1:
        return plain(tables[0])
    schema = unify(table.schema for table in tables)
    return pa.concat_tables([conform(table, schema) for table in tables])


def _free(name: str) -> str:
    # `id_` is renamed too, so that names stay distinct
    return f"{name}_" if name.rstrip("_") in RESERVED else name


def _column(name: str, values: list[Any]) -> tuple[Any, Any]:
    import pyarrow as pa

    types = _leaf_types(values) - {type(None)}
    if types <= {int, float} or (len(types) == 1 and dict not in types):
        for kind in (None, pa.uint64()) if types == {int} else (None,):
            with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                column = pa.array(values, kind)
                return pa.field(name, column.type), column
    return pa.field(name, pa.string(), metadata=_JSON), _json_texts(values)


def _leaf_types(values: Iterable[Any]) -> set[type]:
    found: set[type] = set()
    for value in values:
        if isinstance(value, tuple):  # a key-value pair of an Arrow map
            found.add(dict)
        else:
            found |= _leaf_types(value) if isinstance(value, list) else {type(value)}
    return found


def _json_texts(values: Iterable[Any]) -> Any:
    import pyarrow as pa

    # not orjson, which refuses whole numbers beyond 64 bits and turns NaN into null
    return pa.array(
        [
            None if value is None else json.dumps(_maps_as_objects(value), ensure_ascii=False, default=_word)
            for value in values
        ],
        pa.string(),
    )


def _maps_as_objects(value: Any) -> Any:
    """Return a value in which the pairs of Arrow maps, at any depth, are objects."""
    if isinstance(value, dict):
        return {name: _maps_as_objects(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(pair, tuple) for pair in value):
        return {key if isinstance(key, str) else _word(key): _maps_as_objects(inner) for key, inner in value}
    return [_maps_as_objects(inner) for inner in value]


def _word(value: Any) -> str:
    """Return a value that JSON lacks as text: bytes decoded as UTF-8, or in hex; other values as Python
    writes them.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.hex()
    return str(value)


def _is_json(field: Any) -> bool:
    return bool(field.metadata and field.metadata.get(b"embedkit") == b"json")


def _plain_field(field: Any) -> Any:
    """Return a nullable field of a plain type; only embedkit's own metadata stays."""
    import pyarrow as pa

    metadata = {key: value for key, value in (field.metadata or {}).items() if key.startswith(b"embedkit")}
    return pa.field(field.name, arrow_types.plain(field.type), metadata=metadata or None)


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    if _is_json(one) or _is_json(other):
        return one if _is_json(one) else other
    type = arrow_types.common(one.type, other.type)
    if type is not None:
        return one.with_type(type)
    logger.warning(
        "field %r is %s in some rows and %s in others, which have no common type; `where` compares texts",
        *(one.name, one.type, other.type),
    )
    return pa.field(one.name, pa.string(), metadata=_JSON)


def _convert(column: Any, have: Any, want: Any) -> Any:
    if have.type == want.type and _is_json(have) == _is_json(want):
        return column
    if _is_json(want):
        return _json_texts(_values(column))
    return _cast(column, want.type)


def _cast(column: Any, type: Any) -> Any:
    """Return a column in a type that holds its values, rounded if necessary."""
    import pyarrow as pa

    if "list_view" not in str(column.type):  # Arrow casts list views to lists with wrong offsets
        with suppress(pa.ArrowNotImplementedError, pa.ArrowInvalid):
            return column.cast(type, safe=False)
    return pa.chunked_array([pa.array(column.to_pylist(), type)])


def _values(column: Any) -> list[Any]:
    """Return a column as Python values."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    """Return an Arrow scalar as a Python value, or as text for a time that Python cannot represent."""
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # nanoseconds, or the year 10000
        return scalar.cast(pa.string()).as_py()


def _without_quotes(column: Any) -> Any:
    """Return JSON texts in which each JSON string is replaced by the string itself."""
    import pyarrow as pa
    from pyarrow import compute

    quoted = compute.fill_null(compute.starts_with(column, '"'), False)
    strings = [json.loads(text) for text in column.filter(quoted).to_pylist()]
    if not strings:
        return column
    texts, mask = pa.concat_arrays(column.chunks), pa.concat_arrays(quoted.chunks)
    return compute.replace_with_mask(texts, mask, pa.array(strings, texts.type))


def _known_to_sql(column: Any) -> Any:
    """Return a column in a type that DuckDB has."""
    import pyarrow as pa

    if pa.types.is_union(column.type):
        return _without_quotes(pa.chunked_array([_json_texts(_values(column))]))
    exact = arrow_types.in_sql(column.type)
    if exact == column.type:
        return column
    try:
        return column.cast(exact)
    except pa.ArrowInvalid:  # more than 38 digits
        return _cast(column, arrow_types.in_sql(column.type, wide=pa.float64()))
