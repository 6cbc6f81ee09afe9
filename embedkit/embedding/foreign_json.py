"""Reading of JSON that other programs wrote: types are checked, and errors name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson

from embedkit.data.tensors import is_lfs_pointer
from embedkit.errors import ModelError

_MOST = 2**31 - 1  # larger numbers (1e30) mean no limit, and do not fit into files


def read_json(folder: Path, name: str, *, where: str) -> Any:
    """Return the value in a file of a model's folder, as Python's own parser reads it.

    Raises ModelError, which names the file, when it cannot be read.
    """
    try:
        content = (folder / name).read_bytes()
        if is_lfs_pointer(content):
            raise ValueError("it is a Git LFS pointer; run git lfs pull")
        try:
            return orjson.loads(content)  # gives the same value, much sooner, or refuses
        except orjson.JSONDecodeError:
            return json.loads(content)
    except OSError as error:
        raise ModelError(f"{name} cannot be read: {error.strerror}", where=where) from None
    except RecursionError:
        raise ModelError(f"{name} cannot be read: it is nested too deeply", where=where) from None
    except ValueError as error:
        raise ModelError(f"{name} cannot be read: {error}", where=where) from None


def read_object(folder: Path, name: str, *, where: str) -> dict[str, Any]:
    """Return the object in a file; raises ModelError when the file holds anything else."""
    value = read_json(folder, name, where=where)
    if not isinstance(value, dict):
        raise ModelError(f"{name} is {kind(value)}, expected an object", where=where)
    return value


def count(config: dict[str, Any], key: str, *, file: str, where: str) -> int | None:
    """Return a setting that is a count; None if it is missing, null, or not above 0.

    A number above 2**31 - 1 becomes 2**31 - 1. Raises ModelError for anything but a whole number.
    """
    value = config.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ModelError(f"{file}: {key} is {kind(value)}, expected a whole number", where=where)
    return min(int(value), _MOST) if value > 0 else None


def text(config: dict[str, Any], key: str, *, file: str, where: str) -> str | None:
    """Return a setting that is a string; None if it is missing or null. Raises ModelError otherwise.

    Half of a surrogate pair is refused: JSON can contain it, UTF-8 cannot.
    """
    value = config.get(key)
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{file}: {key} is {kind(value)}, expected a string", where=where)
    if value is not None and any("\ud800" <= character <= "\udfff" for character in value):
        raise ModelError(f"{file}: {key} holds half of a surrogate pair, expected Unicode", where=where)
    return value


def kind(value: Any) -> str:
    """Return the type of a JSON value in words, with the value if it is short.

    >>> kind([]), kind({"a": 1}), kind("512"), kind(None)
    ('an empty list', 'an object', "the string '512'", 'null')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) <= 40 else "a long string"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else f"the number {value}"
