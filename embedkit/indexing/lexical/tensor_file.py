"""A safetensors file that is written in pieces and read by memory map, for arrays larger than memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import FormatError

_NAMES = {"uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64"}
_TYPES = {name: np.dtype(dtype).newbyteorder("<") for dtype, name in _NAMES.items()}


class TensorWriter:
    """A file of flat arrays whose sizes are known beforehand; pieces of each array are appended in any
    order of the arrays.
    """

    def __init__(self, path: Path, sizes: Mapping[str, tuple[str, int]], metadata: Mapping[str, str]) -> None:
        """Create the file for arrays of `sizes`: name -> (dtype, length)."""
        header: dict[str, Any] = {"__metadata__": dict(metadata)}
        self._dtypes = {name: np.dtype(dtype) for name, (dtype, _) in sizes.items()}
        at, self._cursors = 0, dict[str, int]()
        for name in sorted(sizes, key=lambda name: -self._dtypes[name].itemsize):  # keeps all aligned
            dtype, length = sizes[name]
            end = at + length * self._dtypes[name].itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": [length], "data_offsets": [at, end]}
            self._cursors[name], at = at, end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        self._file.write(len(text).to_bytes(8, "little") + text)
        self._start = self._file.tell()
        self._ends = {name: header[name]["data_offsets"][1] for name in sizes}

    def append(self, name: str, values: NDArray[np.generic]) -> None:
        """Write the next values of an array."""
        content = np.ascontiguousarray(values, self._dtypes[name].newbyteorder("<"))
        self._file.seek(self._start + self._cursors[name])
        self._file.write(content.data)
        self._cursors[name] += content.nbytes

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                assert self._cursors == self._ends, "an array is not complete"
                self._file.flush()
                os.fsync(self._file.fileno())


def open_tensors(path: Path) -> tuple[dict[str, str], dict[str, NDArray[np.generic]]]:
    """Return the metadata and the arrays of a file, mapped into memory.

    Raises FormatError when the header does not describe the file.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
        start = 8 + int.from_bytes(content[:8].tobytes(), "little")
        header = json.loads(content[8:start].tobytes())
        metadata = dict(header.pop("__metadata__"))
        arrays = {
            name: np.frombuffer(content, _TYPES[tensor["dtype"]], *_place(tensor, start))
            for name, tensor in header.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"is damaged: {error!r}", where=str(path)) from None
    return metadata, arrays


def _place(tensor: dict[str, Any], start: int) -> tuple[int, int]:
    """Return the count of values and the offset in the file."""
    (count,), (first, _) = tensor["shape"], tensor["data_offsets"]
    return (count, start + first) if count else (0, 0)
