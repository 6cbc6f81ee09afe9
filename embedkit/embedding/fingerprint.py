"""Fingerprints: short digests that identify an encoder, a map or a set of vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

_DIGITS = 16


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Return 16 hex digits over plain JSON values; equal values give equal digits in any order of keys."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_DIGITS]
