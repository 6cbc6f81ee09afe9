"""Arrow arrays of Python and numpy values, made of buffers.

`pyarrow.array` imports pandas where it is installed, and so does `to_numpy`; the import takes longer than a
small command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 2**31 - 1  # bytes of an array of strings with offsets of 32 bits


def strings(values: Sequence[str | None], *, large: bool = False) -> Any:
    """Return texts as an Arrow array of strings, or of large strings; equal to that of `pyarrow.array`."""
    import pyarrow as pa

    kind = pa.large_string() if large else pa.string()
    texts, validity = _texts(values)
    joined = "".join(texts)
    sizes = map(len, texts) if joined.isascii() else (len(text.encode()) for text in texts)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.fromiter(sizes, np.int64, len(texts)))])
    if not large and ends[-1] > _LARGEST:
        return pa.array(values, kind)
    offsets = ends if large else ends.astype(np.int32)
    buffers = [validity, pa.py_buffer(offsets.tobytes()), pa.py_buffer(joined.encode())]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _texts(values: Sequence[str | None]) -> tuple[Sequence[str], Any]:
    """Return values with empty texts instead of None, and the bits of those that are not None."""
    validity = _validity(values)
    return [value or "" for value in values] if validity else cast(Sequence[str], values), validity


def integers(values: Sequence[int | None]) -> Any:
    """Return whole numbers as an Arrow array of 64 bits; raises OverflowError for larger ones."""
    import pyarrow as pa

    numbers = np.fromiter((0 if value is None else value for value in values), np.int64, len(values))
    return pa.Array.from_buffers(
        pa.int64(), len(values), [_validity(values), pa.py_buffer(numbers.tobytes())]
    )


def numbers(values: Array) -> pa.Array:
    """Return an array `(rows,)` of numbers as an Arrow array, which shares its memory where it can."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def booleans(values: NDArray[np.bool_]) -> Any:
    """Return booleans `(rows,)` as an Arrow array."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def to_numpy(array: Any) -> Array:
    """Return an Arrow array of numbers without nulls as a numpy array, which shares its memory."""
    found: Array = np.from_dlpack(array) if len(array) else np.empty(0, array.type.to_pandas_dtype())
    return found


def _validity(values: Sequence[Any]) -> Any:
    """Return the bits of the values that are not None; None if all of them are set."""
    if None not in values:
        return None
    return _bits(np.fromiter((value is not None for value in values), bool, len(values)))


def _bits(values: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(values, bitorder="little").tobytes())
