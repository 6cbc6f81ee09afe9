"""Repeated ids across segments that were built apart: found by hashes, one run of them in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedkit.cluster.session import Cluster
from embedkit.errors import DataError
from embedkit.indexing.segment import Segment

RUNS = 64  # runs of hashes by their first bits; one run is in memory at a time


def write_hashes(file: Path, segment: Segment) -> None:
    """Write the hashes of a segment's ids, sorted; 8 bytes per row."""
    hashes = [hash_of(id) for table in segment.documents() for id in table.column("id").to_pylist()]
    np.save(file, np.sort(np.array(hashes, dtype=np.uint64)))


def hash_of(id: str) -> int:
    """Return a 64-bit hash of an id, which is the same in every process."""
    return int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def refuse_repeated(cluster: Cluster, folder: Path, segments: Sequence[Segment]) -> None:
    """Raise DataError naming an id that two segments contain; `folder` holds the hashes of their ids."""
    suspects: set[int] = set()
    for found in cluster.map(_twice, range(RUNS), folder):
        suspects.update(found)
        if suspects:
            break
    if suspects:
        _refuse(segments, suspects)


def _twice(run: int, folder: Path) -> list[int]:
    """Return the hashes of one run that occur more than once."""
    first, last = run * (2**64 // RUNS), (run + 1) * (2**64 // RUNS) - 1
    parts = [_between(np.load(file, mmap_mode="r"), first, last) for file in sorted(folder.glob("*.npy"))]
    hashes = np.sort(np.concatenate([np.empty(0, np.uint64), *parts]))
    return [int(each) for each in np.unique(hashes[1:][hashes[1:] == hashes[:-1]])]


def _between(hashes: NDArray[np.uint64], first: int, last: int) -> NDArray[np.uint64]:
    start = np.searchsorted(hashes, np.uint64(first), side="left")
    end = np.searchsorted(hashes, np.uint64(last), side="right")
    return np.array(hashes[start:end])


def _refuse(segments: Iterable[Segment], suspects: set[int]) -> None:
    seen: dict[str, int] = {}
    for row, id in enumerate(_ids(segments), 1):
        if hash_of(id) in suspects:
            if id in seen:
                raise DataError(f"id {id!r} occurs twice, as records {seen[id]} and {row}")
            seen[id] = row


def _ids(segments: Iterable[Segment]) -> Iterator[str]:
    for segment in segments:
        for table in segment.documents():
            yield from table.column("id").to_pylist()
