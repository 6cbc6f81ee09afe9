"""Parse and format counts, sizes and times as people write them: 1e9, 2GB, 64GiB, 5ms."""

from __future__ import annotations

import re
from collections.abc import Mapping

from embedkit.errors import UsageError

_SIZES = {
    "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600}
_COUNTS = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}


def read_count(text: str, *, where: str) -> int:
    """Parse 1000, 1_000, 1,000, 1e9 or 2M; raise UsageError unless it is a whole number above zero."""
    value = _read(text, _COUNTS, where, "a number of rows", "write 1000000, 1_000_000, 1e6 or 1M")
    if value != int(value):
        raise UsageError(f"{text!r} is not a whole number", where=where)
    return int(value)


def read_bytes(text: str, *, where: str) -> int:
    """Parse 2GB, 500MB, 64GiB or a number of bytes; raise UsageError for other text."""
    return int(_read(text, _SIZES, where, "a size", "write 500MB, 2GB or 64GiB"))


def read_seconds(text: str, *, where: str) -> float:
    """Parse 5ms, 200us, 2s or a number of seconds; raise UsageError for other text."""
    return _read(text, _TIMES, where, "a time", "write 5ms, 200us or 2s")


def in_bytes(value: float) -> str:
    """Return bytes as text with three significant digits: 1.54 GB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size * 0.9995:
            return f"{value / size:.{_decimals(value / size)}f} {unit}"
    return f"{value:.0f} B"


def in_seconds(value: float) -> str:
    """Return seconds as text with two or three significant digits, in a unit from microseconds to days."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if value >= size * 0.9995:
            return f"{value / size:.{_decimals(value / size)}f} {unit}"
    return f"{value * 1e6:.0f} us"


def _decimals(value: float) -> int:
    return 0 if value >= 99.95 else 1 if value >= 9.995 else 2


def _read(text: str, units: Mapping[str, float], where: str, what: str, hint: str) -> float:
    found = re.fullmatch(
        r"\s*([0-9][0-9_,]*(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*([a-z]*)\s*", text.lower()
    )
    value = float(re.sub("[_,]", "", found[1]) + (found[2] or "")) if found else 0
    if not found or found[3] not in units or not 0 < value * units[found[3]] < 1e18:
        raise UsageError(f"{text!r} is not {what}", where=where, hint=hint)
    return value * units[found[3]]
