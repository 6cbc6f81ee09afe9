"""safetensors files: writing produces the same bytes every time, and headers are checked without reading the
tensors.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import whole_file

_LENGTH = 8  # bytes that hold the header's length
_HEADER_LIMIT = 100_000_000  # bytes; the library refuses longer headers
_LFS = b"version https://git-lfs.github.com/spec/v1"


def tensor_bytes(tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file, the same bytes every time."""
    from safetensors.numpy import save

    content: bytes = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    length = int.from_bytes(content[:_LENGTH], "little")
    head = orjson.dumps(orjson.loads(content[_LENGTH : _LENGTH + length]), option=orjson.OPT_SORT_KEYS)
    head += b" " * (-len(head) % 8)  # safetensors writes its keys in random order
    return len(head).to_bytes(_LENGTH, "little") + head + content[_LENGTH + length :]


def write_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: type[np.floating[Any]],
    blocks: Iterable[NDArray[np.generic]],
    metadata: Mapping[str, str],
) -> None:
    """Write tensors of one type, float16 or float32, while their rows are computed.

    `blocks` are consecutive parts of the tensors in the order of `shapes`, of any sizes, so that no tensor
    needs to be in memory. The same bytes are written every time. Raises ValueError unless the blocks fill the
    tensors exactly.
    """
    size, start = np.dtype(dtype).itemsize, 0
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    for name, shape in shapes.items():
        end = start + math.prod(shape) * size
        header[name] = {"dtype": f"F{8 * size}", "shape": shape, "data_offsets": [start, end]}
        start = end
    head = orjson.dumps(header)
    head += b" " * (-len(head) % 8)
    with whole_file(path) as file:
        file.write(len(head).to_bytes(_LENGTH, "little") + head)
        written = sum(file.write(np.ascontiguousarray(block, dtype).data.cast("B")) for block in blocks)
        if written != start:
            raise ValueError(f"the blocks have {written:,} bytes, the tensors {start:,}")


def metadata_in(content: bytes) -> dict[str, str]:
    """Return the metadata in a file's content; raises ValueError unless it is a complete safetensors file."""
    return _metadata(_whole(_header(content, len(content)), content[:_LENGTH], len(content)))


def metadata_of(path: Path) -> dict[str, str]:
    """Return the metadata of a file whose tensors may be cut short; raises ValueError without a valid
    header.
    """
    return _metadata(_header(*_beginning(path)))


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a file, tensors by name, without reading the tensors.

    Raises ValueError with the reason when the file is not a complete safetensors file, and OSError.
    """
    content, size = _beginning(path)
    return _whole(_header(content, size), content[:_LENGTH], size)


def is_lfs_pointer(content: bytes) -> bool:
    """Return whether a file's content, or its beginning, is a Git LFS pointer in place of the real file."""
    return content.startswith(_LFS)


def _beginning(path: Path) -> tuple[bytes, int]:
    """Return the beginning of a file, including its header if it has one, and the size of the whole file."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(max(_LENGTH, len(_LFS)))
        wanted = _LENGTH + min(int.from_bytes(head[:_LENGTH], "little"), _HEADER_LIMIT)
        return head + file.read(max(0, min(wanted, size) - len(head))), size


def _header(content: bytes, size: int) -> dict[str, Any]:
    """Return the header from the beginning of a file of `size` bytes; raises ValueError when it has none."""
    if is_lfs_pointer(content):
        raise ValueError("it is a Git LFS pointer; run git lfs pull")
    if size < _LENGTH:
        raise ValueError(f"it is {size} bytes long" if size else "it is empty")
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > min(size - _LENGTH, _HEADER_LIMIT):
        raise ValueError(f"it is {size:,} bytes long, its header alone would be {length:,}")
    try:
        header = orjson.loads(content[_LENGTH : _LENGTH + length])
    except orjson.JSONDecodeError as error:
        raise ValueError(f"its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header


def _whole(header: dict[str, Any], length: bytes, size: int) -> dict[str, Any]:
    """Return the header of a file of `size` bytes; raises ValueError unless all of its tensors are
    present.
    """
    try:
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except (LookupError, TypeError, ValueError):
        raise ValueError("its header does not state where the tensors are") from None
    whole = _LENGTH + int.from_bytes(length, "little") + max(ends, default=0)
    if whole != size:
        raise ValueError(f"it is {size:,} bytes long, its header describes {whole:,}")
    return header


def _metadata(header: Mapping[str, object]) -> dict[str, str]:
    metadata = header.get("__metadata__") or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata do not map names to strings")
    return metadata


def rename_tensors(path: Path, prefix: str) -> None:
    """Remove a prefix from the names of tensors in a safetensors file; the tensors stay unchanged."""
    with open(path, "rb") as source, whole_file(path) as target:
        length = int.from_bytes(source.read(_LENGTH), "little")
        header = orjson.loads(source.read(length))
        head = orjson.dumps({name.removeprefix(prefix): value for name, value in header.items()})
        head += b" " * (-len(head) % 8)
        target.write(len(head).to_bytes(_LENGTH, "little") + head)
        shutil.copyfileobj(source, target, 1 << 20)


def take_tensors(path: Path, names: Mapping[str, str]) -> None:
    """Keep some tensors of a safetensors file, unchanged, under new names by their old ones."""
    with open(path, "rb") as source, whole_file(path) as target:
        length = int.from_bytes(source.read(_LENGTH), "little")
        header = orjson.loads(source.read(length))
        kept: dict[str, object] = {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}
        spans, place = [], 0
        for old, new in sorted(names.items(), key=lambda pair: header[pair[0]]["data_offsets"]):
            start, end = header[old]["data_offsets"]
            kept[new] = {**header[old], "data_offsets": [place, place + end - start]}
            spans.append((start, end))
            place += end - start
        head = orjson.dumps(kept)
        head += b" " * (-len(head) % 8)
        target.write(len(head).to_bytes(_LENGTH, "little") + head)
        for start, end in spans:
            source.seek(_LENGTH + length + start)
            target.write(source.read(end - start))
