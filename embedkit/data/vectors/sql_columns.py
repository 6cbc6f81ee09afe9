"""Columns in types that SQL can compare, as DuckDB has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.data.vectors import arrow_types
from embedkit.data.vectors.json_columns import is_json, json_texts, values_of, without_quotes
from embedkit.data.vectors.schemas import cast

if TYPE_CHECKING:
    import pyarrow as pa


def comparable(table: pa.Table) -> pa.Table:
    """Return a table in plain types that SQL can compare: JSON text of a string becomes that string, and
    numbers of types that DuckDB lacks become the nearest type that it has.
    """
    for place, field in enumerate(table.schema):
        column = table.column(place)
        found = without_quotes(column) if is_json(field) else _known_to_sql(column)
        if found is not column:
            table = table.set_column(place, field.name, found)
    return table


def _known_to_sql(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that DuckDB has."""
    import pyarrow as pa

    if pa.types.is_union(column.type):
        return without_quotes(pa.chunked_array([json_texts(values_of(column))]))
    exact = arrow_types.in_sql(column.type)
    if exact == column.type:
        return column
    try:
        return column.cast(exact)
    except pa.ArrowInvalid:  # more than 38 digits
        return cast(column, arrow_types.in_sql(column.type, wide=pa.float64()))
