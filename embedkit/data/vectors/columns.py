"""The column `vector` of an Arrow table: float32 or float16 numbers, or codes of one byte each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array
from embedkit.data.vectors.arrow_arrays import numbers, to_numpy
from embedkit.data.vectors.arrow_types import is_list, plain
from embedkit.data.vectors.codes import CodeName, Codes
from embedkit.errors import DataError, FormatError, MismatchError

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR = "vector"

FloatName = Literal["float32", "float16"]
DType = FloatName | CodeName

_CODES = b"embedkit-codes"  # metadata key that marks a column as codes, not numbers


def with_vectors(table: pa.Table, vectors: NDArray[np.float32], dtype: FloatName = "float32") -> pa.Table:
    """Return a table with a fixed-size-list column `vector` appended; raises DataError as `halves` does."""
    rows = halves(table, vectors) if dtype == "float16" else vectors
    return _with_column(table, np.ascontiguousarray(rows, dtype=dtype), None)


def halves(table: pa.Table, vectors: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the vectors of a table's rows as float16; raises DataError naming the first id whose vector has
    a number too large for float16.
    """
    with np.errstate(over="ignore"):
        rounded = vectors.astype(np.float16)
    finite = np.isfinite(rounded).all(axis=1)
    if not finite.all():
        id = table.column("id")[int(np.argmin(finite))].as_py()
        what = f"the vector of id {id!r} has a number that is too large for float16"
        raise DataError(what, hint="store the vectors as float32")
    return rounded


def with_codes(table: pa.Table, vectors: NDArray[np.float32], codes: Codes) -> pa.Table:
    """Return a table with a column `vector` of the vectors' codes appended, marked as codes in its
    metadata.
    """
    return _with_column(table, codes.encode(vectors), {_CODES: codes.name.encode()})


def vectors_of(table: pa.Table, dimension: int | None, *, where: str, before: int = 0) -> NDArray[np.float32]:
    """Return the `vector` column as float32 `(rows, dimension)`, without a copy when it is float32 already.

    Raises DataError naming the row (`before` rows came earlier) of a null, NaN or infinite vector, and
    MismatchError for another dimension.
    """
    if not table.num_rows:
        return np.empty((0, dimension or 0), dtype=np.float32)
    vectors = as_float32(_numbers(table, dimension, where=where, before=before))
    require_finite(vectors, where=where, before=before)
    return vectors


def codes_in(table: pa.Table, codes: Codes, *, where: str) -> Array:
    """Return the `vector` column as codes `(rows, width)`, without copying.

    Raises FormatError when it holds anything else.
    """
    import pyarrow as pa

    field = table.schema.field(VECTOR)
    if not holds_codes(field, codes.name) or field.type.value_type not in (pa.uint8(), pa.int8()):
        raise FormatError(f"expected {codes.name} codes, found {field.type}", where=where)
    if not table.num_rows:
        return np.empty((0, codes.width), dtype=field.type.value_type.to_pandas_dtype())
    return _numbers(table, codes.width, where=where, before=0)


def holds_codes(field: pa.Field, name: CodeName | None = None) -> bool:
    """Return whether a column's metadata marks it as codes (of the kind `name`, if given), not numbers."""
    said = (field.metadata or {}).get(_CODES)
    return said is not None if name is None else said == name.encode()


def require_vectors(schema: pa.Schema, *, where: str) -> bool:
    """Return whether a table has a column `vector` of numbers; raises DataError when it holds anything else,
    codes included.
    """
    if not has_vectors(schema, where=where):
        return False
    if holds_codes(schema.field(VECTOR)):
        raise DataError("holds codes", where=where, hint="name the folder of its vector set")
    return True


def has_vectors(schema: pa.Schema, *, where: str) -> bool:
    """Return whether a table has a column `vector` of numbers or codes; a column of nulls does not count.

    Raises DataError unless it is one column, of lists of numbers.
    """
    import pyarrow as pa

    if VECTOR not in schema.names:
        return False
    if schema.names.count(VECTOR) > 1:
        raise DataError(f"has more than one column {VECTOR!r}", where=where, hint="keep one of them")
    field = schema.field(VECTOR)
    types, kind = pa.types, plain(field.type)
    if types.is_null(kind):
        return False
    inner = kind.value_type if is_list(kind) else pa.null()
    if not (types.is_floating(inner) or types.is_integer(inner) or types.is_decimal(inner)):
        raise DataError(
            f"column {VECTOR!r} is {field.type}, expected lists of numbers",
            where=where,
            hint="convert it, or rename it to have the text encoded",
        )
    return True


def as_float32(numbers: Any) -> NDArray[np.float32]:
    """Return numbers as float32; numbers beyond its range become infinite, and `require_finite` finds
    them.
    """
    with np.errstate(over="ignore"):
        return np.asarray(numbers, dtype=np.float32)


def require_finite(vectors: NDArray[np.float32], *, where: str, before: int = 0) -> None:
    """Raise DataError naming the first row of `(rows, dimension)` that holds NaN or infinity."""
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise DataError("the vector is not finite", where=f"{where}:{before + int(np.argmin(finite)) + 1}")


def _with_column(table: pa.Table, rows: Array, metadata: dict[bytes, bytes] | None) -> pa.Table:
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(numbers(rows.reshape(-1)), rows.shape[1])
    return table.append_column(pa.field(VECTOR, column.type, metadata=metadata), column)


def _numbers(table: pa.Table, dimension: int | None, *, where: str, before: int) -> Array:
    """Return the lists of the `vector` column as one matrix, with numbers of any type."""
    import pyarrow as pa

    column = table.column(VECTOR).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError("has no vector", where=f"{where}:{before + row + 1}")
    width = _width(column, dimension, where, before)
    if pa.types.is_fixed_size_list(column.type):  # `flatten` imports pyarrow.compute
        flat = column.values.slice(column.offset * width, len(column) * width)
    else:
        flat = column.flatten()
    if pa.types.is_decimal(flat.type):
        flat = flat.cast(pa.float64())
    found: Array = flat.to_numpy(zero_copy_only=False) if flat.null_count else to_numpy(flat)
    return found.reshape(len(column), width)


def _width(column: pa.ChunkedArray, dimension: int | None, where: str, before: int) -> int:
    """Return the one length of all lists; raises MismatchError when lengths differ, DataError for length
    0.
    """
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        lengths = np.array([column.type.list_size])
    else:
        from pyarrow import compute

        lengths = compute.list_value_length(column).to_numpy()
    if not lengths.all():
        place = f"{where}:{before + int(np.argmin(lengths)) + 1}"
        raise DataError("the vector has no dimensions, expected at least one", where=place)
    widths = set(lengths.tolist())
    if len(widths) > 1 or (dimension is not None and widths != {dimension}):
        found = " and ".join(map(str, sorted(widths)))
        raise MismatchError(
            f"vectors have {found} dimensions, expected {dimension or 'the same for all'}", where=where
        )
    return int(lengths[0])
