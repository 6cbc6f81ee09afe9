"""One Arrow schema for tables whose fields may differ.

The common type of two columns is the one that Arrow promotes both to, where that loses nothing; whole numbers
in one table and fractions in another become float64, which is exact up to 2**53. A field without a common
type becomes JSON text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from embedkit.data.vectors import arrow_types
from embedkit.data.vectors.json_columns import JSON, is_json, json_texts, values_of

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger("embedkit")


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return one Arrow schema with every field of all, in order of first appearance, in plain types:
    dictionaries decoded.

    A field whose types have no common type becomes JSON text, with a warning.
    """
    import pyarrow as pa

    fields: dict[str, pa.Field] = {}
    for field in (_plain_field(field) for schema in schemas for field in schema):
        known = fields.get(field.name)
        fields[field.name] = field if known is None else _wider(known, field)
    return pa.schema(list(fields.values()))


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
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


def plain(table: pa.Table) -> pa.Table:
    """Return a table in plain types: dictionaries decoded, at any depth."""
    return conform(table, unify([table.schema]))


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables whose fields may differ, in plain types."""
    import pyarrow as pa

    if len(tables) == 1:
        return plain(tables[0])
    schema = unify(table.schema for table in tables)
    return pa.concat_tables([conform(table, schema) for table in tables])


def _plain_field(field: pa.Field) -> pa.Field:
    """Return a nullable field of a plain type; only embedkit's own metadata stays."""
    import pyarrow as pa

    metadata = {key: value for key, value in (field.metadata or {}).items() if key.startswith(b"embedkit")}
    return pa.field(field.name, arrow_types.plain(field.type), metadata=metadata or None)


def _wider(one: pa.Field, other: pa.Field) -> pa.Field:
    import pyarrow as pa

    if is_json(one) or is_json(other):
        return one if is_json(one) else other
    type = arrow_types.common(one.type, other.type)
    if type is not None:
        return one.with_type(type)
    logger.warning(
        "field %r is %s in some rows and %s in others, which have no common type; `where` compares texts",
        *(one.name, one.type, other.type),
    )
    return pa.field(one.name, pa.string(), metadata=JSON)


def _convert(column: pa.ChunkedArray, have: pa.DataType, want: pa.DataType) -> pa.ChunkedArray:
    if have.type == want.type and is_json(have) == is_json(want):
        return column
    if is_json(want):
        return json_texts(values_of(column))
    return cast(column, want.type)


def cast(column: pa.ChunkedArray, type: pa.DataType) -> pa.ChunkedArray:
    """Return a column in a type that holds its values, rounded if necessary."""
    import pyarrow as pa

    if "list_view" not in str(column.type):  # Arrow casts list views to lists with wrong offsets
        with suppress(pa.ArrowNotImplementedError, pa.ArrowInvalid):
            return column.cast(type, safe=False)
    return pa.chunked_array([pa.array(column.to_pylist(), type)])
