"""Ids that occur twice: found by 64-bit hashes, 8 bytes per id, and then named from the ids themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import DataError

RUNS = 64  # runs of hashes by their first bits; one run is in memory at a time

Hash = Callable[[str], int]


def quick_hash(id: str) -> int:
    """Return a 64-bit hash of an id, which differs between processes."""
    return hash(id) & 0xFFFFFFFFFFFFFFFF


def stable_hash(id: str) -> int:
    """Return a 64-bit hash of an id, which is the same in every process."""
    return int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def hashes_of(ids: Iterable[str], hash_id: Hash) -> NDArray[np.uint64]:
    """Return the hash of each id, `(ids,)`."""
    return np.fromiter((hash_id(id) for id in ids), dtype=np.uint64)


def repeated(hashes: NDArray[np.uint64]) -> set[int]:
    """Return the hashes that occur more than once."""
    ordered = np.sort(hashes)
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def repeated_in_run(run: int, folder: Path) -> set[int]:
    """Return the hashes of one of `RUNS` runs that occur more than once in a folder's `.npy` files, each of
    which holds sorted hashes.
    """
    first, last = run * (2**64 // RUNS), (run + 1) * (2**64 // RUNS) - 1
    parts = [_between(np.load(file, mmap_mode="r"), first, last) for file in sorted(folder.glob("*.npy"))]
    return repeated(np.concatenate([np.empty(0, np.uint64), *parts]))


def _between(hashes: NDArray[np.uint64], first: int, last: int) -> NDArray[np.uint64]:
    start = np.searchsorted(hashes, np.uint64(first), side="left")
    end = np.searchsorted(hashes, np.uint64(last), side="right")
    return np.array(hashes[start:end])


def refuse_repeated(ids: Iterable[str], suspects: set[int], hash_id: Hash) -> None:
    """Raise DataError naming an id that occurs twice, and the records that have it.

    Only ids whose hash is among the `suspects` are kept in memory and compared.
    """
    seen: dict[str, int] = {}
    for record, id in enumerate(ids, 1):
        if hash_id(id) in suspects:
            if id in seen:
                raise DataError(f"id {id!r} occurs twice, as records {seen[id]} and {record}")
            seen[id] = record
