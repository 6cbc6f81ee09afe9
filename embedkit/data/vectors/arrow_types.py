"""Types of Arrow columns: plain types, common types of two columns, and types that SQL can compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_FINEST_FIRST = ("us", "ms", "s", "ns")


def plain(type: pa.DataType) -> pa.DataType:
    """Return a type without dictionaries, run-end encoding, views and extensions, at any depth."""
    import pyarrow as pa

    if isinstance(type, pa.BaseExtensionType):
        return plain(type.storage_type)
    if pa.types.is_dictionary(type) or pa.types.is_run_end_encoded(type):
        return plain(type.value_type)
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return _inside(views.get(type, type), plain)


def common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that Arrow promotes two plain types to, or one that loses less; None when no type can
    hold the values of both.
    """
    import pyarrow as pa

    if one == other:
        return one
    if pa.types.is_nested(one) and pa.types.is_nested(other):
        return _common_nested(one, other)
    return _exact(one, other) or _exact(other, one) or _promoted(one, other)


def in_sql(type: pa.DataType, *, wide: pa.DataType | None = None) -> pa.DataType:
    """Return the nearest type that DuckDB has, at any depth.

    `wide` is the type for 256-bit decimals, which otherwise become decimals of 38 digits, or float64 where
    the scale does not fit.
    """
    import pyarrow as pa

    if pa.types.is_float16(type):
        return pa.float32()
    if pa.types.is_decimal256(type):
        return wide or (pa.decimal128(38, type.scale) if 0 <= type.scale <= 38 else pa.float64())
    return _inside(type, partial(in_sql, wide=wide))


def is_list(type: pa.DataType) -> bool:
    """Return whether a type is a list type, list views included."""
    import pyarrow as pa

    return is_large_list(type) or bool(
        pa.types.is_list(type) or pa.types.is_list_view(type) or pa.types.is_fixed_size_list(type)
    )


def is_large_list(type: pa.DataType) -> bool:
    """Return whether a type is a list type with 64-bit offsets."""
    import pyarrow as pa

    return bool(pa.types.is_large_list(type) or pa.types.is_large_list_view(type))


def _inside(type: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """Return a type with its inner types replaced by `change`; list views become lists."""
    import pyarrow as pa

    if is_list(type):
        inner = type.value_field.with_type(change(type.value_type)).with_nullable(True).remove_metadata()
        sizes = (type.list_size,) if pa.types.is_fixed_size_list(type) else ()
        return pa.large_list(inner) if is_large_list(type) else pa.list_(inner, *sizes)
    if pa.types.is_struct(type):
        return pa.struct([(field.name, change(field.type)) for field in type])
    if pa.types.is_map(type):
        return pa.map_(change(type.key_type), change(type.item_type))
    return type


def _common_nested(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    if is_list(one) and is_list(other):
        inner = common(one.value_type, other.value_type)
        large = is_large_list(one) or is_large_list(other)
        return None if inner is None else pa.large_list(inner) if large else pa.list_(inner)
    if pa.types.is_map(one) and pa.types.is_map(other):
        sides = common(one.key_type, other.key_type), common(one.item_type, other.item_type)
        return None if None in sides else pa.map_(*sides)
    if not (pa.types.is_struct(one) and pa.types.is_struct(other)):
        return None
    found = {field.name: field.type for field in one}
    for field in other:
        found[field.name] = common(found.get(field.name, pa.null()), field.type)
    return None if None in found.values() else pa.struct(list(found.items()))


def _exact(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the common type of two types for which Arrow has none, or has one that loses values; else
    None.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_decimal(one) and types.is_floating(other):
        return pa.float64()
    if types.is_uint64(one) and types.is_signed_integer(other):
        return pa.decimal128(20, 0)
    if types.is_decimal(one) and types.is_integer(other):
        return common(one, pa.decimal128(20 if types.is_uint64(other) else 19, 0))
    if types.is_timestamp(one) and types.is_timestamp(other) and bool(one.tz) == bool(other.tz):
        # nanoseconds cover the years 1678 to 2261 only: use microseconds if the other unit is coarser
        unit = next(unit for unit in _FINEST_FIRST if unit in (one.unit, other.unit))
        zone = one.tz if one.tz == other.tz else "UTC"
        return pa.timestamp("us" if {"ns"} < {one.unit, other.unit} else unit, zone)
    if types.is_date(one) and types.is_timestamp(other) and not other.tz:
        return pa.timestamp("us") if other.unit == "ns" else other
    return None


def _promoted(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    types = pa.types
    texts = [types.is_string(type) or types.is_large_string(type) for type in (one, other)]
    if any(texts) and not all(texts) and not (types.is_null(one) or types.is_null(other)):
        return None  # Arrow would turn text into bytes
    try:
        schemas = [pa.schema([pa.field("", type)]) for type in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None
