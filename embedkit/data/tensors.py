"""safetensors files with metadata: written to the same bytes every time, their metadata read alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import whole_file

_LENGTH = 8  # bytes that hold the header's length
_HEADER_LIMIT = 100_000_000  # bytes; the library reads no longer header


def tensor_bytes(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file, the same bytes every time."""
    from safetensors.numpy import save

    content: bytes = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    length = int.from_bytes(content[:_LENGTH], "little")
    head = orjson.dumps(orjson.loads(content[_LENGTH : _LENGTH + length]), option=orjson.OPT_SORT_KEYS)
    head += b" " * (-len(head) % 8)  # safetensors writes its keys in an order left to chance
    return len(head).to_bytes(_LENGTH, "little") + head + content[_LENGTH + length :]


def metadata_in(content: bytes) -> dict[str, str]:
    """Return the metadata in a file's content, or in its beginning; raises ValueError when it is no
    safetensors.
    """
    length = int.from_bytes(content[:_LENGTH], "little")
    header = orjson.loads(content[_LENGTH : _LENGTH + length])
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata


def read_header(path: Path) -> bytes:
    """Return the beginning of a file that holds its metadata; the tensors are not read."""
    with open(path, "rb") as file:
        head = file.read(_LENGTH)
        return head + file.read(min(int.from_bytes(head, "little"), _HEADER_LIMIT))


def rename_tensors(path: Path, prefix: str) -> None:
    """Remove a prefix from the names of tensors in a safetensors file; the tensors stay as they are."""
    with open(path, "rb") as source, whole_file(path) as target:
        length = int.from_bytes(source.read(_LENGTH), "little")
        header = orjson.loads(source.read(length))
        head = orjson.dumps({name.removeprefix(prefix): value for name, value in header.items()})
        head += b" " * (-len(head) % 8)
        target.write(len(head).to_bytes(_LENGTH, "little") + head)
        shutil.copyfileobj(source, target, 1 << 20)
